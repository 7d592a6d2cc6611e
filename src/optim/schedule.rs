//! The learning rate as a function of the step.

use std::fmt;

use serde::Serialize;

use super::config::{Config, Drops, Lengthened};
use crate::{hint::Notice, notice};

/// A learning rate that rises linearly during the warm-up and drops by a factor at given steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    /// The steps after which the rate drops.
    drops: Vec<u64>,
    drop_factor: f64,
    steps: u64,
    steps_an_epoch: f64,
}

impl Schedule {
    /// Returns the schedule of a run of `steps` updates with `steps_an_epoch` updates in an epoch.
    pub fn new(config: &Config, steps: u64, steps_an_epoch: f64) -> Self {
        Self::of_lengths(config, &[], steps, steps_an_epoch)
    }

    /// Returns the schedule of a run that was lengthened while it trained and now has `steps` updates. Drops
    /// that were made before a lengthening stay where they were, and later ones move with the end of the run:
    /// the rates of the steps already made do not change.
    pub fn of_lengths(config: &Config, lengthened: &[Lengthened], steps: u64, steps_an_epoch: f64) -> Self {
        let late = match config.schedule {
            Drops::Published => 0.0,
            Drops::Reference => steps_an_epoch,
        };
        let drop = |share: &f64| {
            let place = |steps: u64| (share * steps as f64 + late).round() as u64;
            let made = lengthened.iter().find(|length| place(length.from) < length.at.min(length.from));
            place(made.map_or(steps, |length| length.from))
        };
        Self {
            lr: config.lr,
            warmup_steps: config.warmup_steps.unwrap_or_else(|| Self::warmup(steps)),
            drops: config.drop_at.iter().map(drop).filter(|&at| at < steps).collect(),
            drop_factor: config.drop_factor,
            steps,
            steps_an_epoch,
        }
    }

    /// Returns the default warm-up of a run of `steps` updates: the published 500 updates, but at most a
    /// tenth of the run.
    pub fn warmup(steps: u64) -> u64 {
        const PUBLISHED: u64 = 500;
        PUBLISHED.min(steps / 10)
    }

    /// Returns the learning rate of the update after `step` complete ones.
    pub fn at(&self, step: u64) -> f64 {
        let warmup = ((step + 1) as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        let dropped = self.drops.iter().filter(|&&at| step >= at).count();
        self.lr * warmup * self.drop_factor.powi(dropped as i32)
    }

    /// Returns the number of updates of the warm-up.
    pub fn warmup_steps(&self) -> u64 {
        self.warmup_steps
    }

    /// Logs the schedule of a fit that is not a training run.
    pub(crate) fn announce(&self) {
        tracing::info!("{} steps: {self}", self.steps);
        if let Some(complaint) = self.complaint() {
            tracing::warn!("{complaint}");
        }
    }

    /// Returns a warning if the run ends before the learning rate is reached.
    pub fn complaint(&self) -> Option<Notice> {
        let Self { warmup_steps, steps, .. } = self;
        (*warmup_steps > 1 && warmup_steps >= steps).then(|| {
            notice!(
                "the learning rate rises for {warmup_steps} steps, but the run has {steps}";
                "begin a new run with --warmup-steps {}", Self::warmup(*steps)
            )
        })
    }
}

/// The schedule in words, in steps and epochs.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "learning rate {}", self.lr)?;
        match self.warmup_steps {
            0 | 1 => write!(f, " without warm-up")?,
            steps => write!(f, " after a warm-up of {steps} steps")?,
        }
        let epoch = |at: &u64| (1e2 * *at as f64 / self.steps_an_epoch).round() / 1e2;
        let (steps, epochs): (Vec<_>, Vec<_>) =
            self.drops.iter().map(|at| (at.to_string(), epoch(at).to_string())).unzip();
        let factor = self.drop_factor;
        match steps.as_slice() {
            [] => Ok(()),
            [step] => write!(f, ", × {factor} after step {step} (epoch {})", epochs[0]),
            _ => write!(f, ", × {factor} after steps {} (epochs {})", steps.join(", "), epochs.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Config {
        Config { drop_at: vec![250.0 / 300.0, 280.0 / 300.0], ..Default::default() }
    }

    #[test]
    fn the_rate_warms_up_and_drops_where_the_paper_says() {
        let epoch = 195;
        let schedule = Schedule::new(&published(), 300 * epoch, epoch as f64);
        let close = |step, lr: f64| (schedule.at(step) - lr).abs() < 1e-12;
        assert!(close(0, 2e-4 / 500.0));
        assert!(close(249, 1e-4));
        assert!(close(499, 2e-4) && close(250 * epoch - 1, 2e-4));
        assert!(close(250 * epoch, 4e-5) && close(280 * epoch - 1, 4e-5));
        assert!(close(280 * epoch, 8e-6));
    }

    /// Returns the epochs after which the rate drops.
    fn dropped_after(drop_at: &[f64], epochs: u64, drops: Drops) -> Vec<u64> {
        let config = Config { drop_at: drop_at.to_vec(), schedule: drops, ..Default::default() };
        let schedule = Schedule::new(&config, 100 * epochs, 100.0);
        (1..epochs).filter(|epoch| schedule.at(100 * epoch) < 0.5 * schedule.at(100 * epoch - 1)).collect()
    }

    #[test]
    fn the_reference_lets_one_more_epoch_pass_before_each_drop() {
        for (shares, epochs, published, reference) in [
            ([250.0 / 300.0, 280.0 / 300.0], 300, [250, 280], [251, 281]),
            ([30.0 / 50.0, 45.0 / 50.0], 50, [30, 45], [31, 46]),
            ([30.0 / 50.0, 45.0 / 50.0], 100, [60, 90], [61, 91]),
            ([80.0 / 120.0, 110.0 / 120.0], 120, [80, 110], [81, 111]),
            ([15.0 / 30.0, 25.0 / 30.0], 30, [15, 25], [16, 26]),
        ] {
            assert_eq!(dropped_after(&shares, epochs, Drops::Published), published, "of {epochs}");
            assert_eq!(dropped_after(&shares, epochs, Drops::Reference), reference, "of {epochs}");
        }
    }

    #[test]
    fn a_run_of_72_steps_is_at_its_full_rate_for_most_of_them() {
        let schedule = Schedule::new(&published(), 72, 9.0);
        let full = (0..72).filter(|&step| schedule.at(step) > 0.99 * 2e-4).count();
        assert_eq!((schedule.warmup_steps(), full), (7, 54), "from step 7 to the drop at step 60");
        assert_eq!(schedule.complaint(), None);
        assert_eq!(
            schedule.to_string(),
            "learning rate 0.0002 after a warm-up of 7 steps, × 0.2 after steps 60, 67 (epochs 6.67, 7.44)"
        );
        let asked = |steps| Config { warmup_steps: Some(steps), ..published() };
        let never = Schedule::new(&asked(500), 72, 9.0);
        assert!(never.complaint().unwrap().hints[0].contains("--warmup-steps 7"), "{never}");
        let short = Schedule::new(&published(), 5, 1.25).to_string();
        assert_eq!(short, "learning rate 0.0002 without warm-up, × 0.2 after step 4 (epoch 3.2)");
        assert!(Schedule::new(&asked(0), 72, 9.0).to_string().contains("without warm-up, × 0.2"));
    }

    #[test]
    fn the_shortest_runs_have_a_rate_and_the_published_warm_up_begins_at_5000_steps() {
        for steps in 1..20 {
            let schedule = Schedule::new(&published(), steps, 1.0);
            assert!((0..steps).all(|step| schedule.at(step) > 0.0), "{steps}");
            assert!((schedule.at(steps / 10) - 2e-4).abs() < 1e-12 || steps < 3, "{steps}: {schedule}");
            assert_eq!(schedule.complaint(), None);
        }
        assert_eq!([4_999, 5_000, 5_001, 1_000_000].map(Schedule::warmup), [499, 500, 500, 500]);
    }

    #[test]
    fn drops_that_were_made_stay_and_those_to_come_move_with_the_end() {
        let config = Config { drop_at: vec![0.6, 0.9], warmup_steps: Some(10), ..Default::default() };
        let [short, long] = [100, 200].map(|steps| Schedule::new(&config, steps, 10.0));
        let longer =
            |at: u64, steps: u64| Schedule::of_lengths(&config, &[Lengthened { at, from: 100 }], steps, 10.0);
        let close = |one: f64, other: f64| (one - other).abs() < 1e-15;
        for (at, drops) in [
            (1, [120, 180]),
            (60, [120, 180]),
            (61, [60, 180]),
            (90, [60, 180]),
            (91, [60, 90]),
            (100, [60, 90]),
        ] {
            let schedule = longer(at, 200);
            assert!((0..at).all(|step| close(schedule.at(step), short.at(step))), "steps made before {at}");
            assert_eq!(schedule.drops, drops, "raised at {at}");
        }
        assert!(
            (0..200).all(|step| close(longer(60, 200).at(step), long.at(step))),
            "no drop was made by then"
        );
        let twice = [Lengthened { at: 70, from: 100 }, Lengthened { at: 185, from: 200 }];
        let twice = Schedule::of_lengths(&config, &twice, 300, 10.0);
        assert_eq!(twice.drops, [60, 180], "the second was made when the run had 200 steps");
        // A drop one epoch later is after the end of the short run, which did not make it.
        let late = Config { drop_at: vec![0.95], schedule: Drops::Reference, ..config };
        let late = Schedule::of_lengths(&late, &[Lengthened { at: 100, from: 100 }], 200, 10.0);
        assert_eq!(late.drops, [200_u64; 0]);
    }
}
