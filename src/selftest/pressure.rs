//! Steps where little memory is left.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tch::{Device, Kind, Tensor};
use torchkit::{Accelerator, Choice, Monitor, Precision, caught};

use super::{
    check::{Found, Options, largest},
    graph::{AMDIM, config, trainer},
};
use crate::{
    config::Config,
    device::{is_out_of_memory, within_memory},
    train::Trainer,
    views::made_up,
};

/// The samples of a batch, whose step takes more memory than is left.
const BATCH: usize = 256;
/// The steps that are compared.
const STEPS: i64 = 3;
/// The bytes of the last tensors that fill the memory.
const LEAST: i64 = 4 << 20;
/// The bound on the relative difference of losses before and after, as for two runs of the same steps, which
/// a GPU need not add up in the same order.
const LOSSES_OFF: f64 = 1e-4;

/// Fills the memory of the device, makes steps, and frees the memory. The steps may run out of memory, which
/// the program must recognize. Afterwards the same steps must give the losses that they gave before.
pub(super) fn pressure(options: &Options) -> Result<Found> {
    let device = options.device;
    let Some(accelerator) = Accelerator::of(device) else {
        return Ok(Found::Skipped("not applicable: memory is limited on GPUs only"));
    };
    if Monitor::of(device)
        .and_then(|monitor| monitor.memory())
        .is_some_and(|memory| !memory.others.is_empty())
    {
        return Ok(Found::Skipped("other processes use the GPU, and would run out of memory"));
    }
    Precision::F32.apply()?;
    let config = config(AMDIM, Choice::Off)?;
    let before = match losses(device, &config) {
        Err(error) if is_out_of_memory(&error) => {
            return Ok(Found::Skipped("a step of the check takes more memory than is free"));
        }
        before => before?,
    };
    let mut starved = trainer(device, &config)?;
    let (ballast, filled) = fill(device, accelerator)?;
    let left = torchkit::free_memory(Some(accelerator));
    let under_pressure = steps(&mut starved, device, &config);
    drop(ballast);
    let completed = match under_pressure {
        Ok(_) => true,
        Err(error) if is_out_of_memory(&error) => false,
        Err(error) => return Err(error.context("a lack of memory was not recognized")),
    };
    drop(starved);
    let after = losses(device, &config).context("after memory was freed")?;
    let pairs = before.iter().zip(&after);
    let off = largest(pairs.map(|(before, after)| (before - after).abs() / before.abs()));
    ensure!(off < LOSSES_OFF, "losses after a lack of memory are off by {off:.1e}");
    Ok(Found::Figures(json!({
        "filled_bytes": filled, "left_bytes": left, "steps_completed": completed, "losses_off": off,
    })))
}

/// Returns the losses of a few steps of a new trainer.
fn losses(device: Device, config: &Config) -> Result<Vec<f64>> {
    steps(&mut trainer(device, config)?, device, config)
}

fn steps(trainer: &mut Trainer, device: Device, config: &Config) -> Result<Vec<f64>> {
    let recipe = config.recipe();
    let step = |number| {
        tch::manual_seed(200 + number);
        let views = made_up(&recipe, BATCH, device);
        Ok(trainer.step(&views)?.metrics.loss())
    };
    within_memory(device, || "a step".to_owned(), Vec::new, || (0..STEPS).map(step).collect())
}

/// Allocates tensors until none of [`LEAST`] bytes can be allocated. Returns them with their bytes.
fn fill(device: Device, accelerator: Accelerator) -> Result<(Vec<Tensor>, i64)> {
    let free = torchkit::free_memory(Some(accelerator)).context("CUDA does not tell the free memory")?;
    // libtorch frees what it keeps for later use before it refuses a tensor.
    let most = (free + torchkit::reserved_memory(accelerator)?) as i64;
    let (mut tensors, mut filled, mut size) = (Vec::new(), 0, free as i64 / 2);
    while size >= LEAST && filled < most {
        match caught(|| Tensor::empty([size], (Kind::Uint8, device))) {
            Ok(tensor) => {
                tensors.push(tensor);
                filled += size;
            }
            Err(failure) if failure.is_out_of_memory => size /= 2,
            Err(failure) => bail!("a lack of memory was not recognized: {failure}"),
        }
    }
    Ok((tensors, filled))
}
