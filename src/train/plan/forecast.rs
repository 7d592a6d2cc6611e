//! From what was measured to what is to be expected.

use serde::Serialize;

use super::{loading::Loading, step::Measured};
use crate::train::bottleneck::Bottleneck;

/// What a sample costs, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    /// Cores that this process may use.
    pub(super) cores: f64,
    /// By the clock, with all decoding threads and nothing else going on.
    pub(super) loading: f64,
    /// Of a core, for loading.
    pub(super) loading_cpu: f64,
    /// Of the device, for copying; 0 where nothing is copied.
    pub(super) copying: f64,
    /// By the clock, of a step with nothing else going on.
    pub(super) step: f64,
    /// Of a core, for a step: on a GPU that of queueing it.
    pub(super) step_cpu: f64,
}

impl Costs {
    /// As measured with batches of `batch_size`.
    pub(super) fn of(cores: usize, loading: &Loading, step: &Measured, batch_size: usize) -> Self {
        Self {
            cores: cores as f64,
            loading: 1.0 / loading.images_per_second,
            loading_cpu: loading.cpu_us.all / 1e6,
            copying: loading.copy_ms.unwrap_or(0.0) / 1e3 / batch_size as f64,
            step: step.milliseconds / 1e3 / step.batch_size as f64,
            step_cpu: step.cpu_milliseconds / 1e3 / step.batch_size as f64,
        }
    }

    /// Seconds a sample while everything goes on at once: what takes longest of all decides. Cores do one thing at a time.
    fn together(&self) -> f64 {
        [self.loading, self.copying, self.step, self.on_cores()].into_iter().fold(0.0, f64::max)
    }

    fn on_cores(&self) -> f64 {
        (self.loading_cpu + self.step_cpu) / self.cores
    }

    /// What everything else waits for. Where the cores are short, whatever takes more of their time.
    pub(super) fn bottleneck(&self) -> Bottleneck {
        let together = self.together();
        let cores_are_short = self.on_cores() >= together;
        if self.copying >= together {
            Bottleneck::Copy
        } else if self.step >= together || cores_are_short && self.step_cpu >= self.loading_cpu {
            Bottleneck::Compute
        } else {
            Bottleneck::Data
        }
    }

    /// Whether decoding keeps its threads busy; otherwise they wait for the disk.
    pub(super) fn is_decoding_busy(&self, workers: usize) -> bool {
        let busy = self.loading_cpu / self.loading;
        busy >= 0.7 * self.cores.min(workers as f64)
    }

    pub(super) fn images_per_second(&self) -> f64 {
        1.0 / self.together()
    }
}

/// The run's speed and length.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    /// Samples a second to expect.
    pub(super) images_per_second: f64,
    /// What bounds it.
    pub(super) bottleneck: Bottleneck,
    /// Samples a second if only one thing had to be done.
    pub(super) alone: Alone,
    /// Seconds of an epoch …
    pub(super) seconds_an_epoch: f64,
    /// … and of the steps to go. Validations and the writing of checkpoints come on top.
    pub(super) seconds: f64,
    /// What moves the bottleneck.
    pub(super) remedy: Remedy,
}

/// Samples a second of each part by itself.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Alone {
    pub(super) data: f64,
    /// None where nothing is copied.
    pub(super) copy: Option<f64>,
    pub(super) compute: f64,
}

/// A way past the bottleneck.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Remedy {
    /// What to add to the command line; none where no flag helps that leaves the training what it is.
    pub(super) flag: Option<String>,
    /// Samples a second with it, where that was measured or follows.
    pub(super) images_per_second: Option<f64>,
    /// In words: why this, or what else.
    pub(super) because: String,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) samples: u64,
    pub(super) batch_size: usize,
    pub(super) steps_left: u64,
}

impl Forecast {
    /// What these costs and this work come to.
    pub(super) fn of(costs: &Costs, work: Work, remedy: Remedy) -> Self {
        let each = costs.together();
        Self {
            images_per_second: 1.0 / each,
            bottleneck: costs.bottleneck(),
            alone: Alone {
                data: 1.0 / costs.loading,
                copy: (costs.copying > 0.0).then(|| 1.0 / costs.copying),
                compute: 1.0 / costs.step,
            },
            seconds_an_epoch: each * work.samples as f64,
            seconds: each * work.batch_size as f64 * work.steps_left as f64,
            remedy,
        }
    }
}

/// What a run may do otherwise without training otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choices {
    /// Decoding threads.
    pub(super) workers: usize,
    /// Threads that compute on the CPU; none on a GPU.
    pub(super) threads: Option<usize>,
    /// The costs with `--decode fast`, where that was tried.
    pub(super) fast: Option<Costs>,
    /// Whether it trains on the CPU of a machine with a GPU.
    pub(super) has_idle_gpu: bool,
    /// Whether blocks are computed twice to save memory.
    pub(super) checkpoint_blocks: bool,
    /// Whether it computes in f32 though the device has instructions for bf16.
    pub(super) could_be_bf16: bool,
}

impl Remedy {
    /// The first of what helps.
    pub(super) fn of(costs: &Costs, choices: Choices) -> Self {
        match costs.bottleneck() {
            Bottleneck::Data => Self::of_data(costs, choices),
            Bottleneck::Copy => Self::none("batches go as bytes, pinned and beside the steps: a faster bus"),
            Bottleneck::Compute => Self::of_compute(costs, choices),
        }
    }

    fn of_data(costs: &Costs, choices: Choices) -> Self {
        let workers = choices.workers as f64;
        if !costs.is_decoding_busy(choices.workers) {
            return Self::none(
                "decoding waits for the disk: shards on a faster one, or read before into memory",
            );
        }
        if workers < costs.cores {
            let more = Costs { loading: costs.loading * workers / costs.cores, ..*costs };
            return Self::flag(format!("--workers {}", costs.cores), Some(&more), "cores are left");
        }
        match choices.fast.filter(|fast| fast.together() < 0.97 * costs.together()) {
            Some(fast) => {
                Self::flag("--decode fast".to_owned(), Some(&fast), "measured; colours differ a little")
            }
            None => Self::none("more cores, or smaller images in the shards"),
        }
    }

    fn of_compute(costs: &Costs, choices: Choices) -> Self {
        let Choices { threads, .. } = choices;
        let is_waiting = costs.step >= costs.together();
        if choices.has_idle_gpu {
            return Self::flag("--device cuda".to_owned(), None, "there is a GPU");
        }
        if let Some(threads) = threads.filter(|&threads| is_waiting && (threads as f64) < costs.cores) {
            let step = costs.step * threads as f64 / costs.cores;
            let more = Costs { step, ..*costs };
            return Self::flag(format!("--threads {}", costs.cores), Some(&more), "cores are left");
        }
        if choices.checkpoint_blocks {
            return Self::flag("--checkpoint-blocks false".to_owned(), None, "at the price of memory");
        }
        if choices.could_be_bf16 {
            return Self::flag("--precision bf16".to_owned(), None, "the device has instructions for it");
        }
        match threads {
            Some(_) => Self::none("a GPU, more cores, or a smaller model (--ndf, --n-rkhs, --n-depth)"),
            None => Self::none("a faster GPU, or a smaller model (--ndf, --n-rkhs, --n-depth)"),
        }
    }

    fn flag(flag: String, with_it: Option<&Costs>, because: &str) -> Self {
        let images_per_second = with_it.map(Costs::images_per_second);
        Self { flag: Some(flag), images_per_second, because: because.to_owned() }
    }

    fn none(because: &str) -> Self {
        Self { flag: None, images_per_second: None, because: because.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GPU that is fed by sixteen cores.
    const GPU: Costs = Costs {
        cores: 16.0,
        loading: 1e-3 / 16.0,
        loading_cpu: 1e-3,
        copying: 1e-5,
        step: 4e-4,
        step_cpu: 2e-4,
    };
    /// Two cores that do everything.
    const CPU: Costs =
        Costs { cores: 2.0, loading: 5e-4, loading_cpu: 1e-3, copying: 0.0, step: 2e-3, step_cpu: 3e-3 };
    const PLAIN: Choices = Choices {
        workers: 2,
        threads: Some(2),
        fast: None,
        has_idle_gpu: false,
        checkpoint_blocks: false,
        could_be_bf16: false,
    };
    const GPU_CHOICES: Choices = Choices { workers: 16, threads: None, ..PLAIN };

    fn close(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-9
    }

    #[test]
    fn a_gpu_goes_as_fast_as_the_slowest_of_data_copies_and_steps() {
        assert!(close(GPU.images_per_second(), 2_500.0));
        assert_eq!(GPU.bottleneck(), Bottleneck::Compute);
        let quick = Costs { step: 2e-5, step_cpu: 0.0, ..GPU };
        assert!(close(quick.images_per_second(), 16_000.0));
        assert_eq!(quick.bottleneck(), Bottleneck::Data);
        let far = Costs { copying: 1e-3, ..GPU };
        assert!(close(far.images_per_second(), 1_000.0));
        assert_eq!(far.bottleneck(), Bottleneck::Copy);
    }

    #[test]
    fn decoding_and_computing_on_the_same_cores_take_turns() {
        // Neither alone would be slower than 2 ms a sample; together they take 4 ms of two cores.
        assert!(close(CPU.images_per_second(), 500.0));
        assert_eq!(CPU.bottleneck(), Bottleneck::Compute);
        let large = Costs { loading: 4e-3, loading_cpu: 8e-3, ..CPU };
        assert!(close(large.images_per_second(), 2.0 / 11e-3));
        assert_eq!(large.bottleneck(), Bottleneck::Data);
    }

    #[test]
    fn time_follows_from_the_samples_that_are_left() {
        let work = Work { samples: 10_000, batch_size: 50, steps_left: 400 };
        let forecast = Forecast::of(&CPU, work, Remedy::of(&CPU, PLAIN));
        assert!(close(forecast.seconds_an_epoch, 20.0) && close(forecast.seconds, 40.0), "{forecast:?}");
        assert!(forecast.alone.copy.is_none() && close(forecast.alone.data, 2_000.0));
    }

    #[test]
    fn a_flag_is_named_that_moves_the_bottleneck() {
        let flag = |costs: Costs, choices: Choices| Remedy::of(&costs, choices).flag;
        let hungry = Costs { step: 1e-5, step_cpu: 0.0, ..GPU };
        let few = Costs { loading: 1e-3 / 4.0, ..hungry };
        let remedy = Remedy::of(&few, Choices { workers: 4, ..GPU_CHOICES });
        assert_eq!(remedy.flag.as_deref(), Some("--workers 16"));
        assert!(close(remedy.images_per_second.unwrap(), 16_000.0));
        let fast = Some(Costs { loading: 5e-4 / 16.0, loading_cpu: 5e-4, ..hungry });
        assert_eq!(flag(hungry, Choices { fast, ..GPU_CHOICES }).as_deref(), Some("--decode fast"));
        assert_eq!(flag(hungry, Choices { fast: Some(hungry), ..GPU_CHOICES }), None, "it gains nothing");
        let starved = Costs { loading: 1e-2, ..hungry };
        assert!(Remedy::of(&starved, GPU_CHOICES).because.contains("disk"));
        assert_eq!(flag(CPU, Choices { has_idle_gpu: true, ..PLAIN }).as_deref(), Some("--device cuda"));
        assert_eq!(
            flag(GPU, Choices { could_be_bf16: true, ..GPU_CHOICES }).as_deref(),
            Some("--precision bf16")
        );
        let one = Costs { step: 3e-3, ..CPU };
        let remedy = Remedy::of(&one, Choices { threads: Some(1), ..PLAIN });
        assert_eq!(remedy.flag.as_deref(), Some("--threads 2"));
        assert!(close(remedy.images_per_second.unwrap(), 500.0), "cores are short then");
        assert_eq!(flag(CPU, PLAIN), None);
    }
}
