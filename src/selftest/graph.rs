//! Steps as one CUDA graph beside steps that are queued kernel by kernel.

use anyhow::{Result, bail, ensure};
use pipeline::Recipe;
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};
use torchkit::{Choice, Precision};

use super::check::{Found, Options, largest};
use crate::{config::Config, optim::Schedule, train::Trainer, views::made_up, world::World};

/// The settings of AMDIM with a small encoder, as TOML.
pub(super) const AMDIM: &str = "preset = 'in128'\nencoder = { ndf = 8, n_rkhs = 64, n_depth = 2 }";

/// The other methods with small encoders.
const OTHERS: [(&str, &str); 8] = [
    ("simclr", "side = 64\nmethod.name = 'simclr'\nencoder = { name = 'resnet18', width = 4 }"),
    (
        "simclr of two sides",
        "method.name = 'simclr'\nencoder = { name = 'resnet18', width = 4 }\nside = 64\n\
         [[recipe.views]]\ncount = 2\noperations = [{ op = 'random_crop' }]\n\
         [[recipe.views]]\ncount = 3\nside = 32\noperations = [{ op = 'random_crop' }]",
    ),
    (
        "moco",
        "side = 64\nmethod = { name = 'moco', queue = 100, bn_groups = 2 }\nencoder = { name = 'resnet18', width = 4 }",
    ),
    (
        "instdisc",
        "side = 64\nmethod = { name = 'instdisc', loss = 'nce', negatives = 64 }\nencoder = { name = 'resnet18', width = 4 }",
    ),
    (
        "cmc",
        "side = 64\nmethod = { name = 'cmc', negatives = 64 }\nencoder = { name = 'resnet18', width = 4 }",
    ),
    (
        "cmc nce",
        "side = 64\nmethod = { name = 'cmc', loss = 'nce', negatives = 64 }\nencoder = { name = 'resnet18', width = 4 }",
    ),
    ("cpc", "method.name = 'cpc'\nencoder = { width = 4, stages = [1, 1, 1] }"),
    ("exemplar", "method.name = 'exemplar'\nencoder.widths = [8, 16, 32]"),
];

/// Returns the configuration in f32 of a small model, which `settings` describe.
pub(super) fn config(settings: &str, graph: Choice) -> Result<Config> {
    let mut config = Config::resolve(&settings.parse()?)?;
    config.train.precision = Precision::F32;
    config.run.cuda_graph = graph;
    Ok(config)
}

/// Returns a trainer for a set of 1000 samples.
pub(super) fn trainer(device: Device, config: &Config) -> Result<Trainer> {
    Trainer::new(config, (1000, Some(10)), device, Schedule::new(&config.optim, 1000, 100.0), World::ALONE)
}

/// Returns all parameters and statistics in one row, in f64 on the CPU.
fn flat(trainer: &Trainer) -> Tensor {
    let tensors: Vec<_> = trainer
        .network()
        .tensors()
        .into_values()
        .map(|tensor| tensor.flatten(0, -1).to_device(Device::Cpu).to_kind(Kind::Double))
        .collect();
    Tensor::cat(&tensors, 0)
}

const NO_GRAPHS: &str = "not applicable: only GPUs record graphs";

/// Returns the number of steps that are compared. The fourth is the first one that is recorded.
fn steps(options: &Options) -> i64 {
    if options.is_full { 36 } else { 12 }
}

/// Compares the recorded steps of AMDIM with its steps that are queued kernel by kernel.
pub(super) fn graph(options: &Options) -> Result<Found> {
    if !options.device.is_cuda() {
        return Ok(Found::Skipped(NO_GRAPHS));
    }
    graph_of(AMDIM, options.device, steps(options)).map(Found::Figures)
}

/// Compares the recorded steps of every other method with its steps that are queued kernel by kernel, also
/// after one that differs.
pub(super) fn graphs_of_methods(options: &Options) -> Result<Found> {
    if !options.device.is_cuda() {
        return Ok(Found::Skipped(NO_GRAPHS));
    }
    let (mut found, mut wrong) = (Map::new(), Vec::new());
    for (name, settings) in OTHERS {
        match graph_of(settings, options.device, steps(options)) {
            Ok(figures) => drop(found.insert(name.to_owned(), figures)),
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(Found::Figures(found.into()))
}

/// Compares recorded steps with steps that are queued kernel by kernel, on the same batches and with the same
/// random numbers.
///
/// A device need not add up in the same order every time, and Adam makes a whole step of a tiny gradient
/// whose sign changes. So the steps without a graph are made twice, and the recorded ones may be four times
/// as far from them as they are apart.
fn graph_of(settings: &str, device: Device, steps: i64) -> Result<Value> {
    Precision::F32.apply()?;
    let recipe = config(settings, Choice::Off)?.recipe();
    let mut trainers = [Choice::Off, Choice::Off, Choice::On]
        .map(|graph| trainer(device, &config(settings, graph)?))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let start = flat(&trainers[0]);
    let [again, off] = losses_off(&mut trainers, &recipe, (device, steps))?;
    ensure!(off < (4.0 * again).max(1e-4), "losses off by {off:.1e}; kernel by kernel again by {again:.1e}");
    if device.is_cuda() && !trainers[2].is_recorded() {
        bail!("no graph was recorded; the warning above has the reason");
    }
    let end = flat(&trainers[0]);
    let way = (&end - &start).norm().double_value(&[]);
    ensure!(way > 0.0, "nothing was learned");
    let [parameters_again, parameters] =
        [1, 2].map(|which| (&end - flat(&trainers[which])).norm().double_value(&[]) / way);
    ensure!(
        parameters < (4.0 * parameters_again).max(0.05),
        "parameters off by {parameters:.1e} of the way; kernel by kernel again by {parameters_again:.1e}"
    );
    Ok(json!({
        "losses_off": off, "losses_off_again": again, "parameters_off": parameters,
        "parameters_off_again": parameters_again, "recorded": trainers[2].is_recorded(),
    }))
}

/// Makes steps with each of three trainers. Returns the largest relative difference of a loss of the
/// second and of the third from that of the first.
fn losses_off(trainers: &mut [Trainer], recipe: &Recipe, (device, steps): (Device, i64)) -> Result<[f64; 2]> {
    let mut losses_off = [0f64; 2];
    for number in 0..steps {
        tch::manual_seed(100 + number);
        let views = made_up(recipe, 16, device);
        let losses: Result<Vec<_>> =
            trainers.iter_mut().map(|trainer| Ok(trainer.step(&views)?.metrics.loss())).collect();
        let losses = losses?;
        for (off, loss) in losses_off.iter_mut().zip(&losses[1..]) {
            *off = largest([*off, (losses[0] - loss).abs() / losses[0].abs()]);
        }
    }
    Ok(losses_off)
}

/// Checks that steps after a recording that failed are those of a trainer without one.
pub(super) fn failed_recording(options: &Options) -> Result<Found> {
    if !options.device.is_cuda() {
        return Ok(Found::Skipped(NO_GRAPHS));
    }
    failed_recording_of(AMDIM, options.device).map(Found::Figures)
}

fn failed_recording_of(settings: &str, device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    let config = config(settings, Choice::Off)?;
    let (mut plain, mut disturbed) = (trainer(device, &config)?, trainer(device, &config)?);
    let mut why = None;
    let mut losses_off = 0f64;
    for number in 0..4 {
        tch::manual_seed(100 + number);
        let views = made_up(&config.recipe(), 16, device);
        if number == 2 {
            why = torchkit::fail_recording(device);
            ensure!(why.is_some(), "a wait for the device was recorded");
        }
        let (a, b) = (plain.step(&views)?.metrics.loss(), disturbed.step(&views)?.metrics.loss());
        losses_off = largest([losses_off, (a - b).abs() / a.abs()]);
    }
    ensure!(losses_off < 1e-4, "losses off by {losses_off:.1e}");
    Ok(json!({"losses_off": losses_off, "why": why}))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CPU records nothing, so that all steps of a method must be equal.
    #[test]
    fn the_same_steps_give_the_same_numbers_on_the_cpu() {
        let _alone = crate::testing::lock_generator();
        for settings in OTHERS.iter().map(|(_, settings)| *settings).chain([AMDIM]) {
            let found = graph_of(settings, Device::Cpu, 2).unwrap();
            assert_eq!(found["recorded"], false);
            assert_eq!(
                (&found["losses_off"], &found["parameters_off"]),
                (&json!(0.0), &json!(0.0)),
                "{settings}"
            );
        }
        assert_eq!(failed_recording_of(AMDIM, Device::Cpu).unwrap()["losses_off"], 0.0);
    }
}
