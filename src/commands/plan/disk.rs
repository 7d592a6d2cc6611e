//! The disk space that checkpoints take, and whether it is free.

use serde::Serialize;
use tch::Tensor;

use crate::{
    checkpoint::Named,
    config::{Config, RunConfig},
    files,
    train::Trainer,
};

/// The disk space for checkpoints.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    /// The bytes of one checkpoint: parameters, statistics and moments. Headers and `state.json` add a few
    /// hundred bytes a tensor.
    pub(super) checkpoint_bytes: u64,
    /// The most checkpoints that exist at a time, including one that is being written.
    pub(super) checkpoints: u64,
    /// The checkpoints of this run that exist already.
    pub(super) present: u64,
    /// The most bytes that are still to be written.
    pub(super) bytes: u64,
    /// The free bytes for this user in the run folder's file system; none if they are unknown.
    pub(super) free_bytes: Option<u64>,
    /// Whether `free_bytes` are enough.
    pub(super) fits: Option<bool>,
}

impl Disk {
    /// Computes the space for a run of `steps`, of which `present` checkpoints exist already.
    pub(super) fn of(trainer: &Trainer, config: &Config, steps: u64, present: u64) -> Self {
        let checkpoint_bytes = bytes(&trainer.network().tensors()) + bytes(&trainer.moments());
        let checkpoints = most_at_a_time(steps, &config.run);
        let bytes = checkpoints.saturating_sub(present) * checkpoint_bytes;
        let free_bytes =
            files::system_of(&config.out).ok().map(|system| system.f_bavail.saturating_mul(system.f_frsize));
        let fits = free_bytes.map(|free| bytes <= free);
        Self { checkpoint_bytes, checkpoints, present, bytes, free_bytes, fits }
    }
}

/// Returns the bytes of all tensors.
fn bytes(named: &Named) -> u64 {
    let size = |tensor: &Tensor| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64;
    named.values().map(size).sum()
}

/// Returns the most checkpoints that exist at a time: the latest and one being written, the best, and earlier
/// ones whose step is a multiple of `keep_every`.
fn most_at_a_time(steps: u64, run: &RunConfig) -> u64 {
    let every = run.checkpoint_every;
    let all = steps.div_ceil(every); // the last step has one, too
    let latest = all.min(run.keep as u64);
    let is_kept = |step: u64| run.keep_every > 0 && step.is_multiple_of(run.keep_every);
    let step_of = |number: u64| (number * every).min(steps);
    let earlier = (1..=all - latest).filter(|&number| is_kept(step_of(number))).count() as u64;
    let (written, best) = (all > latest, run.best.is_some() && all > latest);
    latest + earlier + u64::from(written) + u64::from(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Metric;

    #[test]
    fn the_latest_the_best_and_multiples_are_counted_once_each() {
        let run = |every, keep, keep_every, best| RunConfig {
            checkpoint_every: every,
            keep,
            keep_every,
            best,
            ..RunConfig::default()
        };
        assert_eq!(most_at_a_time(1000, &run(500, 3, 0, None)), 2, "fewer than are kept");
        assert_eq!(most_at_a_time(10_000, &run(500, 3, 0, None)), 4, "one is being written");
        assert_eq!(most_at_a_time(10_000, &run(500, 3, 0, Some(Metric::Mlp))), 5);
        // Of 1000, 2000, … 10000 the last two are among the latest.
        assert_eq!(most_at_a_time(10_000, &run(500, 3, 1000, None)), 4 + 8);
        // Only 3000, 6000 and 9000 have a checkpoint whose step is a multiple.
        assert_eq!(most_at_a_time(10_000, &run(1000, 1, 1500, None)), 2 + 3);
        assert_eq!(most_at_a_time(1, &run(500, 3, 1, None)), 1);
    }
}
