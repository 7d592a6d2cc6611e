//! The forecast of a run's speed, computed from measured costs.

use serde::Serialize;

use crate::commands::plan::{loading::Loading, step::Measured};
use crate::metrics::{Bottleneck, Choices, FasterSteps};

/// The costs of a sample, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    /// The number of cores that this process may use.
    pub(super) cores: f64,
    /// The wall time of loading with all decoding threads and nothing else running.
    pub(super) loading: f64,
    /// The CPU time of loading.
    pub(super) loading_cpu: f64,
    /// The CPU time of loading plus the time that its threads waited for a core.
    pub(super) loading_wanted: f64,
    /// The device time of copying; 0 if nothing is copied.
    pub(super) copying: f64,
    /// The wall time of a step with nothing else running.
    pub(super) step: f64,
    /// The CPU time of a step. On a GPU this is the time of queueing it.
    pub(super) step_cpu: f64,
}

impl Costs {
    /// Converts measurements with batches of `batch_size` into costs of a sample.
    pub(super) fn of(cores: usize, loading: &Loading, step: &Measured, batch_size: usize) -> Self {
        Self {
            cores: cores as f64,
            loading: 1.0 / loading.images_per_second,
            loading_cpu: loading.cpu_us.all / 1e6,
            loading_wanted: (loading.cpu_us.all + loading.starved_us.unwrap_or(0.0)) / 1e6,
            copying: loading.copy_ms.unwrap_or(0.0) / 1e3 / batch_size as f64,
            step: step.milliseconds / 1e3 / step.batch_size as f64,
            step_cpu: step.cpu_milliseconds / 1e3 / step.batch_size as f64,
        }
    }

    /// Returns the seconds of a sample when loading, copying and steps overlap: those of the slowest, or
    /// those of the cores, which loading and steps share.
    fn together(&self) -> f64 {
        [self.loading, self.copying, self.step, self.on_cores()].into_iter().fold(0.0, f64::max)
    }

    /// Returns the seconds of a sample if only the cores limit the speed.
    fn on_cores(&self) -> f64 {
        (self.loading_cpu + self.step_cpu) / self.cores
    }

    /// Returns the part of the work that limits the speed. If the cores do, it is the part that takes more of
    /// their time.
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

    /// Returns whether decoding keeps its threads busy, or would if cores were free. Otherwise they wait for
    /// the disk.
    pub(super) fn is_decoding_busy(&self, workers: usize) -> bool {
        let busy = self.loading_wanted / self.loading;
        busy >= 0.7 * self.cores.min(workers as f64)
    }

    /// Returns the samples a second when loading, copying and steps overlap.
    pub(super) fn images_per_second(&self) -> f64 {
        1.0 / self.together()
    }
}

/// The expected speed and duration of a run.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    /// The expected samples a second.
    pub(super) images_per_second: f64,
    /// The part of the work that limits the speed.
    pub(super) bottleneck: Bottleneck,
    /// The samples a second of each part of the work alone.
    pub(super) alone: Alone,
    /// The seconds of an epoch, without validations and checkpoints.
    pub(super) seconds_an_epoch: f64,
    /// The seconds of the remaining steps, without validations and checkpoints.
    pub(super) seconds: f64,
    /// The flag that would make the run faster.
    pub(super) remedy: Remedy,
}

/// The samples a second of each part of the work alone.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Alone {
    pub(super) data: f64,
    /// None if nothing is copied.
    pub(super) copy: Option<f64>,
    pub(super) compute: f64,
}

/// A way to make the run faster.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Remedy {
    /// The flag to add; none if no flag helps without changing what is trained.
    pub(super) flag: Option<String>,
    /// The samples a second with the flag, if they were measured or can be computed.
    pub(super) images_per_second: Option<f64>,
    /// The reason in words, or what would help if no flag does.
    pub(super) because: String,
}

/// The amount of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) samples: u64,
    pub(super) batch_size: usize,
    pub(super) steps_left: u64,
}

impl Forecast {
    /// Computes the forecast from the costs of a sample and the amount of work.
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

impl Remedy {
    /// Chooses the remedy for the bottleneck. `fast` are the costs with `--decode fast`, if they were
    /// measured.
    pub(super) fn of(costs: &Costs, choices: Choices, fast: Option<&Costs>, has_idle_gpu: bool) -> Self {
        match costs.bottleneck() {
            Bottleneck::Data => Self::for_data(costs, choices, fast),
            Bottleneck::Copy => Self::none(
                "the bus is the limit; batches are already copied as bytes from pinned memory while steps run",
            ),
            Bottleneck::Compute if has_idle_gpu => {
                Self::flag("--device cuda".to_owned(), None, "the machine has a GPU")
            }
            Bottleneck::Compute => Self::for_compute(costs, choices),
        }
    }

    fn for_data(costs: &Costs, choices: Choices, fast: Option<&Costs>) -> Self {
        if !costs.is_decoding_busy(choices.workers) {
            return Self::none("decoding waits for the disk: put the shards on a faster one");
        }
        let cure = choices.faster_data();
        if choices.workers < choices.cores {
            let loading = costs.loading * choices.workers as f64 / costs.cores;
            return Self::flag(cure, Some(&Costs { loading, ..*costs }), "some cores are idle");
        }
        match fast.filter(|fast| fast.together() < 0.97 * costs.together()) {
            Some(fast) => Self::flag(cure, Some(fast), "measured; colours differ slightly"),
            None => Self::none("use more cores, or smaller images by `amdim-stream pack --resize 256`"),
        }
    }

    fn for_compute(costs: &Costs, choices: Choices) -> Self {
        // More threads gain nothing if the cores are the limit.
        let is_waiting = costs.step >= costs.together();
        let threads = choices.threads.filter(|_| is_waiting);
        match (Choices { threads, ..choices }).faster_steps() {
            None => {
                Self::none(&format!("use a faster device, or a smaller model with {}", choices.size_flags))
            }
            Some(faster @ FasterSteps::Threads { threads, .. }) => {
                let step = costs.step * threads as f64 / costs.cores;
                Self::flag(faster.to_string(), Some(&Costs { step, ..*costs }), "some cores are idle")
            }
            Some(faster) => Self::flag(faster.to_string(), None, "the gain is not measured"),
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
    use pipeline::DecodeMode;

    use super::*;
    use torchkit::Precision;

    /// The costs on a GPU with sixteen cores that decode.
    const GPU: Costs = Costs {
        cores: 16.0,
        loading: 1e-3 / 16.0,
        loading_cpu: 1e-3,
        loading_wanted: 1e-3,
        copying: 1e-5,
        step: 4e-4,
        step_cpu: 2e-4,
    };
    /// The costs on two cores that decode and compute.
    const CPU: Costs = Costs {
        cores: 2.0,
        loading: 5e-4,
        loading_cpu: 1e-3,
        loading_wanted: 1e-3,
        copying: 0.0,
        step: 1.6e-3,
        step_cpu: 3e-3,
    };
    const PLAIN: Choices = Choices {
        cores: 2,
        workers: 2,
        decode: DecodeMode::Exact,
        threads: Some(2),
        precision: Precision::F32,
        native: Precision::F32,
        graph: None,
        checkpoint_blocks: false,
        accumulate: 1,
        size_flags: "--features",
    };
    const GPU_CHOICES: Choices = Choices { cores: 16, workers: 16, threads: None, ..PLAIN };

    /// Returns the remedy without an idle GPU and without costs of `--decode fast`.
    fn remedy(costs: &Costs, choices: Choices) -> Remedy {
        Remedy::of(costs, choices, None, false)
    }

    fn close(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-9
    }

    #[test]
    fn on_a_gpu_the_slowest_of_data_copies_and_steps_sets_the_speed() {
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
    fn decoding_and_computing_share_the_cores() {
        // Neither alone takes more than 2 ms a sample; together they take 4 ms of CPU time on two cores.
        assert!(close(CPU.images_per_second(), 500.0));
        assert_eq!(CPU.bottleneck(), Bottleneck::Compute);
        let large = Costs { loading: 4e-3, loading_cpu: 8e-3, ..CPU };
        assert!(close(large.images_per_second(), 2.0 / 11e-3));
        assert_eq!(large.bottleneck(), Bottleneck::Data);
    }

    #[test]
    fn the_duration_follows_from_the_remaining_steps() {
        let work = Work { samples: 10_000, batch_size: 50, steps_left: 400 };
        let forecast = Forecast::of(&CPU, work, remedy(&CPU, PLAIN));
        assert!(close(forecast.seconds_an_epoch, 20.0) && close(forecast.seconds, 40.0), "{forecast:?}");
        assert!(forecast.alone.copy.is_none() && close(forecast.alone.data, 2_000.0));
    }

    #[test]
    fn the_remedy_for_slow_loading_is_a_flag_that_makes_it_faster() {
        let hungry = Costs { step: 1e-5, step_cpu: 0.0, ..GPU };
        let few = Costs { loading: 1e-3 / 4.0, ..hungry };
        let found = remedy(&few, Choices { workers: 4, ..GPU_CHOICES });
        assert_eq!(found.flag.as_deref(), Some("--workers 16"));
        assert!(close(found.images_per_second.unwrap(), 16_000.0));
        let fast = Costs { loading: 5e-4 / 16.0, loading_cpu: 5e-4, ..hungry };
        let found = Remedy::of(&hungry, GPU_CHOICES, Some(&fast), false);
        assert_eq!(found.flag.as_deref(), Some("--decode fast"));
        assert!(close(found.images_per_second.unwrap(), 32_000.0));
        assert_eq!(Remedy::of(&hungry, GPU_CHOICES, Some(&hungry), false).flag, None, "it gains nothing");
        let slow = Costs { loading: 1e-2, ..hungry };
        assert!(remedy(&slow, GPU_CHOICES).because.contains("disk"));
        let starved = Costs { loading_wanted: 0.15, ..slow };
        assert!(!remedy(&starved, GPU_CHOICES).because.contains("disk"), "other processes use the cores");
    }

    #[test]
    fn the_remedy_for_slow_steps_is_a_flag_that_makes_them_faster() {
        let flag = |costs: Costs, choices: Choices| remedy(&costs, choices).flag;
        assert_eq!(Remedy::of(&CPU, PLAIN, None, true).flag.as_deref(), Some("--device cuda"));
        let native = Choices { native: Precision::Bf16, ..GPU_CHOICES };
        assert_eq!(flag(GPU, native).as_deref(), Some("--precision bf16"));
        let one = Choices { threads: Some(1), ..PLAIN };
        let found = remedy(&Costs { step: 3e-3, ..CPU }, one);
        assert_eq!(found.flag.as_deref(), Some("--threads 2"));
        assert!(close(found.images_per_second.unwrap(), 500.0), "then the cores are the limit");
        assert_eq!(flag(CPU, one), None, "the cores are the limit already");
    }
}
