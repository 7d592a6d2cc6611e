//! Measures the time of steps on synthetic images, and their memory as a function of the batch size.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use pipeline::Recipe;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tch::Device;

use crate::{
    device,
    train::Trainer,
    views::{Views, made_up},
};
use torchkit::MemoryWatch;

/// The approximate time that all measured steps on the CPU may take.
const BUDGET: Duration = Duration::from_secs(8);
/// The duration below which a step is repeated.
const SHORT: Duration = Duration::from_millis(500);
/// The duration that repeated steps take together.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// The number of samples of the first step on the CPU, whose time determines the size of the others.
const FIRST: usize = 4;
/// The number of steps before the repeated ones, after which a GPU has recorded its graph.
const WARM_UP: u32 = 5;

/// The measurements of a step.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// The number of samples.
    pub batch_size: usize,
    /// The peak of the bytes of tensors, including parameters and the optimizer's state.
    pub bytes: u64,
    /// The wall time.
    pub milliseconds: f64,
    /// The CPU time of all threads of this process.
    pub cpu_milliseconds: f64,
    /// The time that those threads were ready to run but had no core. None if the kernel does not say.
    pub starved_milliseconds: Option<f64>,
}

impl Measured {
    /// Returns the share of the CPU time that the threads needed in which they had no core.
    pub(super) fn starved(&self) -> Option<f64> {
        let starved = self.starved_milliseconds?;
        Some(starved / (starved + self.cpu_milliseconds))
    }
}

/// The time of one or more steps.
#[derive(Debug, Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu: Duration,
    starved: Option<Duration>,
}

impl Spent {
    /// Measures the time of `work`.
    fn by<T>(work: impl FnOnce() -> Result<T>) -> Result<Self> {
        let (start, cpu, starved) = (Instant::now(), process_cpu(), torchkit::waited_for_cores());
        work()?;
        let starved =
            torchkit::waited_for_cores().zip(starved).map(|(after, before)| after.saturating_sub(before));
        Ok(Self { wall: start.elapsed(), cpu: process_cpu().saturating_sub(cpu), starved })
    }

    /// Returns the time of one of `count` steps that were measured together.
    fn of_one(self, count: u32) -> Self {
        Self {
            wall: self.wall / count,
            cpu: self.cpu / count,
            starved: self.starved.map(|starved| starved / count),
        }
    }
}

/// The bytes of a step as a function of its number of samples n: `fixed` + `linear` · n + `quadratic` · n².
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Memory {
    /// The bytes that do not depend on n: parameters, gradients and the optimizer's state.
    pub fixed: f64,
    /// The bytes of each sample: images and activations.
    pub linear: f64,
    /// The bytes of each pair of samples: scores.
    pub quadratic: f64,
}

impl Memory {
    /// Returns the function through three measured steps of different sizes. None if the steps are too small
    /// to determine it.
    pub(super) fn through(steps: &[Measured]) -> Option<Self> {
        let [a, b, c] = steps else { return None };
        let slope = |a: &Measured, b: &Measured| {
            (b.bytes as f64 - a.bytes as f64) / (b.batch_size as f64 - a.batch_size as f64)
        };
        let (first, second) = (slope(a, b), slope(b, c));
        let quadratic = (second - first) / (c.batch_size as f64 - a.batch_size as f64);
        let linear = first - quadratic * (a.batch_size + b.batch_size) as f64;
        let fixed = a.bytes as f64 - linear * a.batch_size as f64 - quadratic * (a.batch_size as f64).powi(2);
        (fixed.is_finite() && linear > 0.0 && quadratic > -1.0).then_some(Self {
            fixed,
            linear,
            quadratic: quadratic.max(0.0),
        })
    }

    /// Returns the bytes of a step with `n` samples.
    pub fn at(&self, n: usize) -> f64 {
        self.fixed + n as f64 * (self.linear + n as f64 * self.quadratic)
    }

    /// Returns the largest batch that takes no more than `bytes`, up to `most`, by bisection.
    pub(super) fn largest(&self, bytes: u64, most: usize) -> usize {
        let fits = |n: &usize| self.at(*n) <= bytes as f64;
        let (mut fitting, mut too_many) = (0, most + 1);
        while fitting + 1 < too_many {
            let middle = usize::midpoint(fitting, too_many);
            if fits(&middle) { fitting = middle } else { too_many = middle }
        }
        fitting
    }
}

/// The inputs of the measurement of steps.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    pub(super) trainer: &'a mut Trainer,
    /// The recipe of the views.
    pub(super) recipe: Recipe,
    pub(super) device: Device,
    pub(super) watch: &'a MemoryWatch,
}

impl Steps<'_> {
    /// Measures a step of `batch_size`. On the CPU, a smaller one of at least `least` samples is measured if
    /// the full size would take more than a few seconds. Returns none if a step does not fit into memory.
    pub(super) fn within_budget(&mut self, batch_size: usize, least: usize) -> Result<Option<Measured>> {
        if self.device != Device::Cpu {
            return self.unless_too_large(batch_size);
        }
        let first = FIRST.clamp(least, batch_size.max(least));
        let start = Instant::now();
        let Some(tried) = self.unless_too_large(first)? else { return Ok(None) };
        let size = affordable(&tried, batch_size, BUDGET.saturating_sub(start.elapsed())).max(least);
        if size <= first { Ok(Some(tried)) } else { self.unless_too_large(size) }
    }

    /// Measures steps of ascending sizes until one does not fit into memory.
    pub(super) fn of_each(&mut self, mut sizes: Vec<usize>) -> Result<Vec<Measured>> {
        sizes.dedup();
        let mut measured = Vec::new();
        for size in sizes {
            tracing::info!("making steps of {size} samples …");
            let Some(step) = self.unless_too_large(size)? else { break };
            measured.push(step);
        }
        Ok(measured)
    }

    /// Measures a step of this size. Returns none if it does not fit into memory.
    fn unless_too_large(&mut self, size: usize) -> Result<Option<Measured>> {
        match self.measure(size) {
            Ok(step) => Ok(Some(step)),
            Err(error) if device::is_out_of_memory(&error) => {
                tracing::warn!(
                    "a step of {size} does not fit into the memory of {}",
                    torchkit::name(self.device)
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Measures the second of two steps, or the mean of more if steps are short.
    fn measure(&mut self, batch_size: usize) -> Result<Measured> {
        torchkit::caught(|| {
            let views = made_up(&self.recipe, batch_size, self.device);
            self.timed(&views, 1)?;
            // The first step tries out algorithms, some of which need much memory, to choose one.
            self.watch.reset()?;
            let mut spent = self.timed(&views, 1)?;
            if spent.wall < SHORT {
                self.timed(&views, WARM_UP)?;
                let count = LONG_ENOUGH.div_duration_f64(spent.wall).clamp(1.0, 50.0) as u32;
                spent = self.timed(&views, count)?.of_one(count);
            }
            let bytes = self.watch.peak()?;
            self.watch.reset()?;
            let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
            Ok(Measured {
                batch_size,
                bytes,
                milliseconds: milliseconds(spent.wall),
                cpu_milliseconds: milliseconds(spent.cpu),
                starved_milliseconds: spent.starved.map(milliseconds),
            })
        })?
    }

    /// Measures the time of `count` steps.
    fn timed(&mut self, views: &Views, count: u32) -> Result<Spent> {
        Spent::by(|| {
            for _ in 0..count {
                self.trainer.step(views)?;
            }
            let checked = self.trainer.check();
            checked.map_err(|broken| {
                anyhow!("a step on synthetic images gives numbers that are not finite: {broken:?}")
            })
        })
    }
}

/// Returns the CPU time of all threads of this process.
pub(super) fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the largest batch, up to `most`, of which two steps take no longer than `budget`, by the time of a
/// smaller step.
fn affordable(tried: &Measured, most: usize, budget: Duration) -> usize {
    let each = tried.milliseconds / tried.batch_size as f64;
    ((budget.as_secs_f64() * 1e3 / (2.0 * each)) as usize).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::{optim::Schedule, world::World};

    fn trainer(config: &Config) -> Trainer {
        let schedule = Schedule::new(&config.optim, 1, 1.0);
        Trainer::new(config, (8, None), Device::Cpu, schedule, World::ALONE).unwrap()
    }

    #[test]
    fn memory_is_the_parabola_through_three_steps() {
        let of = |batch_size| Measured {
            batch_size,
            bytes: (1000 + 70 * batch_size + 3 * batch_size * batch_size) as u64,
            milliseconds: 1.0,
            cpu_milliseconds: 1.0,
            starved_milliseconds: None,
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

    #[test]
    fn a_step_that_would_take_too_long_gets_a_smaller_batch() {
        let tried = Measured {
            batch_size: 4,
            bytes: 0,
            milliseconds: 400.0,
            cpu_milliseconds: 600.0,
            starved_milliseconds: Some(200.0),
        };
        assert_eq!(tried.starved(), Some(0.25));
        assert_eq!(affordable(&tried, 32, Duration::from_secs(8)), 32);
        assert_eq!(affordable(&tried, 200, Duration::from_secs(8)), 40);
        assert_eq!(affordable(&tried, 200, Duration::ZERO), 0);
    }

    /// The model is small, so that activations take most of the memory.
    #[test]
    fn the_forecast_memory_of_a_larger_batch_equals_the_measured_one() {
        let _alone = crate::testing::lock_generator();
        let mut config = Config::preset(pipeline::Preset::C10);
        config.encoder =
            crate::encoder::amdim::Config { ndf: 8, n_rkhs: 32, n_depth: 2, use_bn: false }.into();
        let watch = MemoryWatch::start(None).unwrap();
        let mut trainer = trainer(&config);
        let mut steps =
            Steps { trainer: &mut trainer, recipe: config.recipe(), device: Device::Cpu, watch: &watch };
        let mut measured = |size| steps.measure(size).unwrap();
        let steps = [16, 32, 48].map(&mut measured);
        let memory = Memory::through(&steps).unwrap();
        let larger = measured(96).bytes as f64;
        let off = (memory.at(96) - larger).abs() / larger;
        assert!(off < 0.03, "off by {off:.3}: {memory:?}");
        assert!(memory.linear > 0.0 && memory.quadratic > 0.0, "{memory:?}");
    }

    #[test]
    fn synthetic_images_have_as_many_views_as_the_method_asks_for() {
        let _alone = crate::testing::lock_generator();
        let asked = "preset = 'c10'\nmethod.name = 'toy'\nencoder.name = 'linear'".parse().unwrap();
        let config = Config::resolve(&asked).unwrap();
        let recipe = config.recipe();
        let views = made_up(&recipe, 4, Device::Cpu);
        assert_eq!(views.images().size(), [3, 4, 3, 32, 32]);
        let watch = MemoryWatch::start(None).unwrap();
        let mut trainer = trainer(&config);
        let mut steps = Steps { trainer: &mut trainer, recipe, device: Device::Cpu, watch: &watch };
        steps.timed(&views, 1).unwrap();
    }
}
