//! The forecast of a run in several processes, computed from the measurements of one.

use indicatif::{DecimalBytes, HumanCount};
use serde::Serialize;
use shards::Division;
use tch::Tensor;

use crate::{
    config::TrainConfig,
    hint,
    method::Exchanged,
    network::{Network, OnlineProbe},
    run::batch::{check_division, check_indices, check_norm_groups, largest, norm_groups},
    train::Run,
};

/// The share of a step that the backward pass takes, while which gradients are sent.
const BACKWARD: f64 = 2.0 / 3.0;

/// What each of several processes would do in a step of a run.
#[derive(Debug, Serialize)]
pub(super) struct Processes {
    /// The number of processes.
    pub(super) count: usize,
    /// The samples of each process in a step; none if the batch cannot be divided.
    pub(super) samples: Option<usize>,
    /// The reason why so many processes are refused.
    pub(super) refused: Option<String>,
    /// The bytes that each process sends in a step; none if the batch cannot be divided.
    pub(super) sent: Option<Sent>,
    /// The bytes of the gradients on each process. They lie in the buffers from which they are sent, which take no
    /// further memory.
    pub(super) gradient_bytes: u64,
    /// The bytes a second that a process can send, in 10⁹.
    pub(super) bandwidth: f64,
    /// None if no step was measured, or the batch cannot be divided.
    pub(super) expected: Option<Expected>,
}

/// The bytes that a process sends in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Sent {
    /// Gradients of parameters, and the loss.
    pub(super) gradients: u64,
    /// What the objective compares with the samples of other processes, and its gradients.
    pub(super) objective: u64,
    /// Features and labels for the online probe.
    pub(super) probe: u64,
    /// Statistics of batch norms.
    pub(super) norms: u64,
}

/// The speed to expect: without and with gradients that are sent during the backward pass.
#[derive(Debug, Serialize)]
pub(super) struct Expected {
    /// The time that a process takes for its own samples.
    pub(super) own_milliseconds: f64,
    /// The time that it takes to send all bytes of a step.
    pub(super) traffic_milliseconds: f64,
    /// The images a second of all processes.
    pub(super) images_per_second: [f64; 2],
    /// The share of a step that is not spent on waiting for other processes.
    pub(super) efficiency: [f64; 2],
}

/// What determines the bytes that a process sends.
#[derive(Debug, Clone, Copy)]
struct Amounts {
    /// The number of parameters that are trained by the objective.
    trained: u64,
    /// The means and variances of batch norms that travel in a step.
    statistics: u64,
    exchanged: Exchanged,
    /// The channels of a feature vector; none without a probe.
    width: Option<i64>,
}

impl Processes {
    /// Describes `count` processes that each send `bandwidth` · 10⁹ bytes a second, if one process would train at
    /// `images_per_second`.
    pub(super) fn of(run: &Run, count: usize, bandwidth: f64, images_per_second: Option<f64>) -> Self {
        let (parts, partitions) = (run.config.train.accumulate, run.config.data.partitions);
        let method = run.trainer.network().method();
        let groups = norm_groups(&run.config.train, method, run.batch_size as i64);
        let division = Division { rank: 0, ranks: count, batch: run.batch_size, parts };
        let checked = check_division(division, partitions)
            .and_then(|()| check_norm_groups(count, groups, run.batch_size, parts))
            .and_then(|()| check_indices(run.batch_size, parts, run.device, largest(method, count)));
        let samples = checked.is_ok().then(|| run.batch_size / count);
        let amounts = Amounts::of(run.trainer.network(), &run.config.train, groups);
        let sent = samples.map(|samples| amounts.sent(samples, count));
        let expected = samples.zip(sent).zip(images_per_second).map(|((samples, sent), rate)| {
            Expected::of(&sent, samples as f64 / rate, bandwidth, run.batch_size)
        });
        Self {
            count,
            samples,
            refused: checked.err().map(|error| hint::render(&error)),
            sent,
            gradient_bytes: 4 * amounts.trained,
            bandwidth,
            expected,
        }
    }

    /// Describes them in words, a text for each line. `loading` are the images a second that the cores of this
    /// machine can load.
    pub(super) fn words(&self, loading: Option<f64>) -> Vec<String> {
        let Self { count, bandwidth, .. } = self;
        let Some((samples, sent)) = self.samples.zip(self.sent) else {
            return vec![format!("{count} cannot share this batch (see below)")];
        };
        let Sent { gradients, objective, probe, norms } = sent;
        let [all, gradients, objective, probe, norms] =
            [sent.all(), gradients, objective, probe, norms].map(DecimalBytes);
        let mut lines = vec![format!(
            "{count}, with {samples} samples of a batch each; a process sends {all} in a step: gradients {gradients}, \
             objective {objective}, probe {probe}, batch norms {norms}"
        )];
        if let Some(expected) = &self.expected {
            let Expected { own_milliseconds: own, traffic_milliseconds: traffic, .. } = expected;
            let [low, high] = expected.images_per_second.map(|rate| HumanCount(rate.round() as u64));
            let [least, most] = expected.efficiency.map(|share| 100.0 * share);
            lines.push(format!(
                "{low} to {high} images/s ({least:.0} to {most:.0} % of {count} times one process), if each has a device and \
                 cores like these: {own:.0} ms of own work, {traffic:.1} ms to send at {bandwidth} GB/s, of which that of \
                 gradients may overlap with the backward pass"
            ));
        }
        let loading = loading.filter(|_| *count > 1).map(|rate| HumanCount(rate.round() as u64));
        lines.extend(loading.map(|rate| {
            format!("on one machine they would share its cores, which load {rate} images/s for all of them")
        }));
        lines
    }
}

impl Amounts {
    /// Counts them. Parameters without gradients are left out.
    fn of(network: &Network, train: &TrainConfig, groups: i64) -> Self {
        let parts = train.accumulate as u64;
        let tensors = network.tensors();
        // Every process trains the probe on the features of all.
        let of_objective = |name: &str| !name.starts_with(OnlineProbe::PATH);
        let idle: Vec<_> = network.method().idle().into_iter().map(Tensor::data_ptr).collect();
        let is_idle = |tensor: &Tensor| idle.contains(&tensor.data_ptr());
        let is_trained = |tensor: &Tensor| tensor.requires_grad() && !is_idle(tensor);
        let trained = tensors.iter().filter(|(name, tensor)| of_objective(name) && is_trained(tensor));
        let exchanged = network.method().exchanged(groups);
        // A batch in parts, and one that is computed block by block, passes forward twice and backward once.
        let is_repeated = parts > 1 || train.checkpoint_blocks;
        let batches = parts * exchanged.norm_batches.cast_unsigned();
        let statistics = tensors.iter().map(|(name, mean)| {
            let Some(norm) = name.strip_suffix("running_mean") else { return 0 };
            let passes = match tensors.get(&format!("{norm}weight")) {
                _ if groups != parts.cast_signed() => 1, // the running statistics follow their mean after a step
                Some(weight) if of_objective(name) && is_trained(weight) => {
                    batches * if is_repeated { 3 } else { 2 }
                }
                // Momentum encoders pass forward only.
                Some(weight) if of_objective(name) && !weight.requires_grad() && !is_idle(weight) => batches,
                _ => 0,
            };
            2 * passes * mean.numel() as u64
        });
        Self {
            trained: trained.map(|(_, tensor)| tensor.numel() as u64).sum(),
            statistics: statistics.sum(),
            exchanged,
            width: network.probe().map(|_| network.method().encoder().width()),
        }
    }

    /// Returns the bytes that each of so many processes sends in a step, each with so many samples. A sum over the
    /// processes travels as a part of it to each of them, and back.
    fn sent(&self, samples: usize, processes: usize) -> Sent {
        let (samples, processes) = (samples as u64, processes as u64);
        let summed = |bytes: u64| 2 * bytes * (processes - 1) / processes;
        let to_others = |bytes: i64| bytes.cast_unsigned() * samples * (processes - 1);
        Sent {
            gradients: summed(4 * (self.trained + 1)),
            objective: to_others(self.exchanged.bytes),
            probe: self.width.map_or(0, |width| to_others(4 * self.exchanged.features * width + 8)),
            norms: summed(4 * self.statistics),
        }
    }
}

impl Sent {
    fn all(self) -> u64 {
        self.gradients + self.objective + self.probe + self.norms
    }
}

impl Expected {
    /// Computes the speed of steps with `batch_size` samples in which each process works for `own` seconds.
    fn of(sent: &Sent, own: f64, bandwidth: f64, batch_size: usize) -> Self {
        let seconds = |bytes: u64| bytes as f64 / (1e9 * bandwidth);
        let (all, gradients) = (seconds(sent.all()), seconds(sent.gradients));
        let steps = [own + all, own + all - gradients.min(BACKWARD * own)];
        Self {
            own_milliseconds: 1e3 * own,
            traffic_milliseconds: 1e3 * all,
            images_per_second: steps.map(|step| batch_size as f64 / step),
            efficiency: steps.map(|step| own / step),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::{
        optim::Schedule,
        train::{
            Trainer,
            methods::{SAMPLES, SMALL},
            ranks,
            several::{BATCH, Case, config, own_of, some},
        },
        world::World,
    };

    /// All methods, and those that differ in parts, block by block, and with local groups of batch norms.
    fn cases() -> Vec<Case> {
        let whole = SMALL.iter().copied().chain([some()[2]]).map(|model| (model, ""));
        let [amdim, simclr, moco] = some().try_into().unwrap();
        let in_parts = [amdim, simclr].map(|model| (model, "accumulate = 2"));
        let in_groups = [simclr, moco].map(|model| (model, "bn_groups = 4"));
        let on_amdim = "encoder = { name = 'amdim', ndf = 4, n_rkhs = 16, n_depth = 1 }\nmethod.dim = 8";
        let on_amdim = ["simclr", "moco"].map(|method| ((method, on_amdim), ""));
        whole
            .chain(on_amdim)
            .chain(in_parts)
            .chain(in_groups)
            .chain([(simclr, "checkpoint_blocks = true")])
            .collect()
    }

    /// Returns the bytes that this process sends in a step, and those that are forecast.
    fn sent_and_forecast(case: Case, world: World) -> [i64; 2] {
        let config = config(case);
        let world = world.in_parts(config.train.accumulate);
        let schedule = Schedule::new(&config.optim, 100, 10.0);
        let mut trainer = Trainer::new(&config, (SAMPLES, Some(3)), Device::Cpu, schedule, world).unwrap();
        let mut step = |number| {
            trainer.step(&own_of(Kind::Float, &config, number, world)).unwrap();
            world.sent_bytes() as i64
        };
        let sent = -step(0) + step(1); // more precedes the first step
        let groups = norm_groups(&config.train, trainer.network().method(), BATCH);
        let amounts = Amounts::of(trainer.network(), &config.train, groups);
        let forecast = amounts.sent(BATCH as usize / world.size(), world.size());
        [sent, forecast.all() as i64]
    }

    #[test]
    fn processes_send_the_bytes_that_are_forecast() {
        let name = "commands::plan::processes::tests::processes_send_the_bytes_that_are_forecast";
        let found = ranks::run(name, 2, |world| {
            let numbers = |(number, case): (usize, Case)| {
                (number.to_string(), Tensor::from_slice(&sent_and_forecast(case, world)))
            };
            cases().into_iter().enumerate().map(numbers).collect()
        });
        for of_rank in found.into_iter().flatten() {
            for (number, case) in cases().into_iter().enumerate() {
                let [sent, forecast] =
                    Vec::<i64>::try_from(&of_rank[&number.to_string()]).unwrap().try_into().unwrap();
                assert!(sent > 0, "{case:?}");
                assert_eq!(sent, forecast, "{case:?}");
            }
        }
    }

    #[test]
    fn a_process_sends_its_share_of_sums_and_its_rows_to_every_other_one() {
        let exchanged = Exchanged { bytes: 100, features: 2, norm_batches: 1 };
        let amounts = Amounts { trained: 999_999, statistics: 4_000, exchanged, width: Some(64) };
        let sent = amounts.sent(8, 4);
        assert_eq!((sent.gradients, sent.norms), (6_000_000, 24_000)); // 3/4 of 4 MB and of 16 kB, there and back
        assert_eq!((sent.objective, sent.probe), (100 * 8 * 3, (2 * 64 * 4 + 8) * 8 * 3));
        assert_eq!((Amounts { width: None, ..amounts }.sent(8, 4).probe, amounts.sent(32, 1).all()), (0, 0));
    }

    #[test]
    fn gradients_hide_behind_the_backward_pass_at_best() {
        let close = |found: [f64; 2], expected: [f64; 2]| {
            found.iter().zip(expected).all(|(one, other)| (one / other - 1.0).abs() < 1e-9)
        };
        let sent = Sent { gradients: 2_000_000, objective: 1_000_000, probe: 0, norms: 0 };
        let expected = Expected::of(&sent, 6e-3, 1.0, 90); // 6 ms of work, 2 + 1 ms of traffic
        assert!(close(expected.images_per_second, [10_000.0, 90.0 / 7e-3]), "{expected:?}");
        assert!(close(expected.efficiency, [6.0 / 9.0, 6.0 / 7.0]), "{expected:?}");
        let slow = Expected::of(&sent, 1.5e-3, 1.0, 90); // of 2 ms, 1 ms is hidden
        assert!(close(slow.efficiency, [1.5 / 4.5, 1.5 / 3.5]), "{slow:?}");
    }
}
