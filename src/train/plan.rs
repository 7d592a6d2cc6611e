//! What a run will come to, before it is made.

use std::time::Instant;

use anyhow::{Result, anyhow};
use serde::Serialize;
use serde_json::json;
use shards::Position;
use tch::{Device, Kind, Tensor};

use super::{Run, Trainer};
use crate::{
    config::Config,
    data,
    method::Views,
    stdout,
    sys::{self, Accelerator, Failure, GraphChoice, MemoryWatch},
};

/// A step that was measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// Samples in it.
    pub batch_size: usize,
    /// The most bytes that tensors took, parameters and the optimizer's state included.
    pub bytes: u64,
    /// How long it took.
    pub milliseconds: f64,
}

/// The memory of a step as a function of its samples n: `fixed` + `linear` · n + `quadratic` · n², bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Memory {
    /// Parameters, gradients, the optimizer's state, and what else does not depend on n.
    pub fixed: f64,
    /// Of each sample: images and activations.
    pub linear: f64,
    /// Of each pair of samples: scores.
    pub quadratic: f64,
}

impl Memory {
    /// The function through three measured steps of different sizes.
    fn through(steps: &[Measured]) -> Option<Self> {
        let [a, b, c] = steps else { return None };
        let slope = |a: &Measured, b: &Measured| {
            (b.bytes as f64 - a.bytes as f64) / (b.batch_size as f64 - a.batch_size as f64)
        };
        let (first, second) = (slope(a, b), slope(b, c));
        let quadratic = (second - first) / (c.batch_size as f64 - a.batch_size as f64);
        let linear = first - quadratic * (a.batch_size + b.batch_size) as f64;
        let fixed = a.bytes as f64 - linear * a.batch_size as f64 - quadratic * (a.batch_size as f64).powi(2);
        // Otherwise the steps were too small for what depends on them to show.
        (fixed.is_finite() && linear > 0.0 && quadratic > -1.0).then_some(Self {
            fixed,
            linear,
            quadratic: quadratic.max(0.0),
        })
    }

    /// Bytes of a step with `n` samples.
    pub fn at(&self, n: usize) -> f64 {
        self.fixed + n as f64 * (self.linear + n as f64 * self.quadratic)
    }

    /// The largest batch that takes no more than `bytes`, up to `most`.
    fn largest(&self, bytes: u64, most: usize) -> usize {
        // It grows: bisected.
        let fits = |n: &usize| self.at(*n) <= bytes as f64;
        let (mut fitting, mut too_many) = (0, most + 1);
        while fitting + 1 < too_many {
            let middle = usize::midpoint(fitting, too_many);
            if fits(&middle) { fitting = middle } else { too_many = middle }
        }
        fitting
    }
}

/// Prints what a run `asked` for will come to: one JSON object, and the same in words on stderr. With `with_steps` a
/// few steps are made on made-up images, on the device that the run would use, and measured.
pub fn plan(asked: &toml::Table, with_steps: bool) -> Result<()> {
    let mut config = Config::resolve(asked)?;
    // Of another size every time.
    config.run.cuda_graph = GraphChoice::Off;
    let device = sys::device(config.run.device)?;
    let accelerator = Accelerator::of(device);
    let free = sys::free_memory(accelerator);
    let watch = || Ok(with_steps.then(|| MemoryWatch::start(accelerator)).transpose()?);
    let watch = sys::within_memory(device, || "anything at all".to_owned(), Vec::new, watch)?;
    let mut run = Run::prepare(config, None)?;
    let (samples, batch) = (run.data.train.len(), run.batch_size);
    let gmacs = run.trainer.macs(batch) / 1e9;
    tracing::info!(
        "{samples} samples in {} shards, {:.1} GB; {} steps of {batch}, {:.1} an epoch; {:.1} million parameters, {gmacs:.1} \
         billion multiply-accumulates a step; {}",
        run.data.train.shards().len(),
        run.data.train.bytes() as f64 / 1e9,
        run.steps,
        samples as f64 / batch as f64,
        run.trainer.parameters() as f64 / 1e6,
        run.means(),
    );
    let mut plan = json!({
        "samples": samples,
        "labelled": run.data.train.labelled(),
        "classes": run.data.classes,
        "shards": run.data.train.shards().len(),
        "bytes": run.data.train.bytes(),
        "batch_size": batch,
        "steps": run.steps,
        "steps_an_epoch": samples as f64 / batch as f64,
        "parameters": run.trainer.parameters(),
        "gigamacs_a_step": gmacs,
        "device": sys::name(run.device),
        "precision": run.config.train.precision.to_string(),
        "threads": {"decode": data::workers(&run.config), "compute": run.threads},
    });
    if let Some(watch) = watch {
        plan["step"] = measure(&mut run, &watch, free)?;
    }
    stdout::print(&plan)
}

/// Makes steps of a quarter, half and all of the batch, as far as there is memory.
fn measure(run: &mut Run, watch: &MemoryWatch, free: Option<u64>) -> Result<serde_json::Value> {
    let least = 2 * run.config.train.accumulate;
    let mut sizes =
        [run.batch_size / 4, run.batch_size / 2, run.batch_size].map(|size| size.max(least)).to_vec();
    sizes.dedup();
    let mut measured = Vec::new();
    for size in sizes {
        tracing::info!("two steps of {size} …");
        match step(&mut run.trainer, size, run.config.preset.side(), run.device, watch) {
            Ok(step) => measured.push(step),
            Err(error) if error.downcast_ref::<Failure>().is_some_and(|failure| failure.is_out_of_memory) => {
                tracing::warn!("a step of {size} does not fit into the memory of {}", sys::name(run.device));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let memory = Memory::through(&measured);
    // Far beyond what was measured it says nothing.
    let most = 8 * measured.iter().map(|step| step.batch_size).max().unwrap_or(0);
    let largest = memory.zip(free).map(|(memory, free)| memory.largest(free, most));
    if memory.is_none() {
        tracing::info!(
            "three steps of different sizes, large enough for their memory to show, would give it as a function of n"
        );
    }
    if let Some(Measured { batch_size, bytes, milliseconds }) = measured.last() {
        tracing::info!(
            "a step of {batch_size}: {:.2} GB of tensors, {milliseconds:.0} ms, {:.0} images/s",
            *bytes as f64 / 1e9,
            1e3 * *batch_size as f64 / milliseconds
        );
    }
    if let Some(Memory { fixed, linear, quadratic }) = memory {
        tracing::info!(
            "memory of a step of n: {:.3} GB + n · {:.3} MB + n² · {:.3} kB{}",
            fixed / 1e9,
            linear / 1e6,
            quadratic / 1e3,
            largest.zip(free).map_or(String::new(), |(largest, free)| format!(
                "; by that {}{largest} fit into the {:.1} GB that are free",
                if largest == most { "at least " } else { "up to " },
                free as f64 / 1e9
            ))
        );
    }
    Ok(json!({"measured": measured, "memory": memory, "free_bytes": free, "largest_batch": largest}))
}

/// The second of two steps on made-up images.
pub fn step(
    trainer: &mut Trainer,
    batch_size: usize,
    side: u32,
    device: Device,
    watch: &MemoryWatch,
) -> Result<Measured> {
    let mut timed = || -> Result<Measured> {
        let views = made_up(batch_size, side, device);
        let (mut milliseconds, mut bytes) = (0.0, 0);
        for _ in 0..2 {
            let start = Instant::now();
            trainer.step(&views)?;
            trainer
                .check()
                .map_err(|broken| anyhow!("the numbers of made-up images are not finite: {broken:?}"))?;
            milliseconds = start.elapsed().as_secs_f64() * 1e3;
            bytes = watch.peak()?;
            // The first step tries out algorithms, some of which want much memory, to choose from them.
            watch.reset()?;
        }
        Ok(Measured { batch_size, bytes, milliseconds })
    };
    sys::caught(&mut timed)?
}

/// A batch of images of noise, of the first class, laid out as the feed's are.
pub fn made_up(samples: usize, side: u32, device: Device) -> Views {
    let (samples, side) = (samples as i64, i64::from(side));
    let images = Tensor::randn([2, samples, side, side, 3], (Kind::Float, device)).permute([0, 1, 4, 2, 3]);
    let labels = Tensor::zeros([samples], (Kind::Int64, device));
    let indices = Tensor::arange(samples, (Kind::Int64, device));
    Views { images, labels, indices, next: Position::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_parabola_through_three_steps() {
        let of = |batch_size| Measured {
            batch_size,
            bytes: (1000 + 70 * batch_size + 3 * batch_size * batch_size) as u64,
            milliseconds: 1.0,
        };
        let memory = Memory::through(&[of(4), of(10), of(32)]).unwrap();
        let off = [memory.fixed - 1000.0, memory.linear - 70.0, memory.quadratic - 3.0];
        assert!(off.iter().all(|off| off.abs() < 1e-6), "{memory:?}");
        assert_eq!((memory.largest(of(50).bytes, 99), memory.largest(of(50).bytes - 1, 99)), (50, 49));
        assert_eq!(memory.largest(of(50).bytes, 40), 40);
        assert_eq!(Memory::through(&[of(4), of(8)]), None);
        let shrinking = [of(4), of(10), Measured { bytes: 0, ..of(32) }];
        assert_eq!(Memory::through(&shrinking), None);
    }

    /// Of a model whose activations take most, on made-up images.
    #[test]
    fn what_is_foretold_of_a_larger_batch_is_what_it_takes() {
        let _alone = crate::generator();
        let mut config = Config::preset(pipeline::Preset::C10);
        config.encoder = crate::model::amdim::Config { ndf: 8, n_rkhs: 32, n_depth: 2, use_bn: false };
        let watch = MemoryWatch::start(None).unwrap();
        let mut trainer = Trainer::new(&config, None, Device::Cpu, 100).unwrap();
        let mut measured = |size| step(&mut trainer, size, 32, Device::Cpu, &watch).unwrap();
        let steps = [16, 32, 48].map(&mut measured);
        let memory = Memory::through(&steps).unwrap();
        let larger = measured(96).bytes as f64;
        let off = (memory.at(96) - larger).abs() / larger;
        assert!(off < 0.03, "off by {off:.3}: {memory:?}");
        assert!(memory.linear > 0.0 && memory.quadratic > 0.0, "{memory:?}");
    }
}
