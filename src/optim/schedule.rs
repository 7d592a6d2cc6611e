//! The learning rate as a function of the step.

use std::fmt;

use serde::Serialize;

use super::{
    config::{Config, Lengthened, LrScaling, WarmupFrom},
    decay::Decay,
};
use crate::{hint::Notice, notice};

/// A learning rate that rises linearly during the warm-up, and then drops by a factor at given steps, follows
/// a cosine to 0, or stays.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    warmup_from: WarmupFrom,
    decay: Decay,
    /// The steps after which the rate drops.
    drops: Vec<u64>,
    drop_factor: f64,
    steps: u64,
    steps_an_epoch: f64,
    /// The earlier, shorter lengths of the run.
    #[serde(skip)]
    lengthened: Vec<Lengthened>,
    /// How the rate was computed from that of the settings, in words.
    #[serde(skip)]
    scaled: Option<String>,
}

/// The published number of updates of the warm-up of AMDIM.
const PUBLISHED: u64 = 500;

impl Schedule {
    /// Returns the schedule of a run of `steps` updates with `steps_an_epoch` updates in an epoch.
    pub fn new(config: &Config, steps: u64, steps_an_epoch: f64) -> Self {
        Self::of_lengths(config, &[], steps, steps_an_epoch)
    }

    /// Returns the schedule of a run that was lengthened while it trained and now has `steps` updates. The
    /// rates of the steps already made do not change.
    ///
    /// Drops that were made before a lengthening stay where they were, and later ones move with the end of
    /// the run. A cosine continues as that of the longer run: the rate is raised where the run was lengthened,
    /// from that of the shorter cosine to that of the longer one, and falls to 0 at the new end.
    pub fn of_lengths(config: &Config, lengthened: &[Lengthened], steps: u64, steps_an_epoch: f64) -> Self {
        let late = match config.schedule {
            Decay::Reference => steps_an_epoch,
            _ => 0.0,
        };
        let drop = |share: &f64| {
            let place = |steps: u64| (share * steps as f64 + late).round() as u64;
            let made = lengthened.iter().find(|length| place(length.from) < length.at.min(length.from));
            place(made.map_or(steps, |length| length.from))
        };
        let drops = match config.schedule {
            Decay::Published | Decay::Reference => config.drop_at.iter().map(drop).collect(),
            Decay::Cosine | Decay::Constant => Vec::new(),
        };
        let first = lengthened.first().map_or(steps, |length| length.from);
        let warmup_steps = config.warmup_steps.unwrap_or_else(|| Self::warmup(config, first, steps_an_epoch));
        Self {
            lr: config.lr,
            warmup_steps,
            warmup_from: config.warmup_from,
            decay: config.schedule,
            drops: drops.into_iter().filter(|&at| at < steps).collect(),
            drop_factor: config.drop_factor,
            steps,
            steps_an_epoch,
            lengthened: lengthened.to_vec(),
            scaled: None,
        }
    }

    /// Multiplies the rate by the factor of steps on `samples` samples, of all processes.
    #[must_use]
    pub fn scaled(self, scaling: LrScaling, samples: u64) -> Self {
        let (factor, words) = match scaling {
            LrScaling::None => return self,
            LrScaling::Linear => (samples as f64 / 256.0, format!("{} × {samples} / 256", self.lr)),
            LrScaling::Sqrt => ((samples as f64).sqrt(), format!("{} × √{samples}", self.lr)),
        };
        Self { lr: self.lr * factor, scaled: Some(words), ..self }
    }

    /// Returns the warm-up of a run of `steps` updates without [`Config::warmup_steps`]: that of
    /// [`Config::warmup_epochs`] or else the published 500 updates of AMDIM, but at most a tenth of the run.
    pub fn warmup(config: &Config, steps: u64, steps_an_epoch: f64) -> u64 {
        let wanted =
            config.warmup_epochs.map_or(PUBLISHED, |epochs| (epochs * steps_an_epoch).round() as u64);
        wanted.min(steps / 10)
    }

    /// Returns the learning rate of the update after `step` complete ones.
    pub fn at(&self, step: u64) -> f64 {
        let begun = match self.warmup_from {
            WarmupFrom::One => step + 1,
            WarmupFrom::Zero => step,
        };
        let warmup = if step < self.warmup_steps { begun as f64 / self.warmup_steps as f64 } else { 1.0 };
        self.lr * warmup * self.decayed(step)
    }

    /// Returns the share of the full rate that is left after `step` updates.
    fn decayed(&self, step: u64) -> f64 {
        match self.decay {
            Decay::Published | Decay::Reference => {
                let dropped = self.drops.iter().filter(|&&at| step >= at).count();
                self.drop_factor.powi(dropped as i32)
            }
            Decay::Cosine => {
                let then = self.lengthened.iter().find(|length| step < length.at);
                let span = then.map_or(self.steps, |length| length.from).saturating_sub(self.warmup_steps);
                let gone = step.saturating_sub(self.warmup_steps) as f64 / span.max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * gone.min(1.0)).cos())
            }
            Decay::Constant => 1.0,
        }
    }

    /// Returns the number of updates of the warm-up.
    pub fn warmup_steps(&self) -> u64 {
        self.warmup_steps
    }

    /// Returns the number of updates in an epoch.
    pub(crate) fn steps_an_epoch(&self) -> f64 {
        self.steps_an_epoch
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
                "begin a new run with --warmup-steps {}", (steps / 10).min(PUBLISHED)
            )
        })
    }
}

/// The schedule in words, in steps and epochs.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "learning rate {}", self.lr)?;
        if let Some(scaled) = &self.scaled {
            write!(f, " ({scaled})")?;
        }
        match (self.warmup_steps, self.warmup_from) {
            (0, _) | (1, WarmupFrom::One) => write!(f, " without warm-up")?,
            (steps, WarmupFrom::One) => write!(f, " after a warm-up of {steps} steps")?,
            (steps, WarmupFrom::Zero) => write!(f, " after a warm-up of {steps} steps from 0")?,
        }
        match self.decay {
            Decay::Published | Decay::Reference => self.write_drops(f),
            Decay::Cosine => write!(f, ", a cosine to 0 at step {}", self.steps),
            Decay::Constant => write!(f, ", constant"),
        }
    }
}

impl Schedule {
    fn write_drops(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    fn dropped_after(drop_at: &[f64], epochs: u64, decay: Decay) -> Vec<u64> {
        let config = Config { drop_at: drop_at.to_vec(), schedule: decay, ..Default::default() };
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
            assert_eq!(dropped_after(&shares, epochs, Decay::Published), published, "of {epochs}");
            assert_eq!(dropped_after(&shares, epochs, Decay::Reference), reference, "of {epochs}");
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
        assert_eq!(
            [4_999, 5_000, 5_001, 1_000_000].map(|steps| Schedule::warmup(&published(), steps, 1.0)),
            [499, 500, 500, 500]
        );
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
        let late = Config { drop_at: vec![0.95], schedule: Decay::Reference, ..config };
        let late = Schedule::of_lengths(&late, &[Lengthened { at: 100, from: 100 }], 200, 10.0);
        assert_eq!(late.drops, [200_u64; 0]);
    }

    fn of(schedule: Decay, warmup_steps: u64) -> Config {
        Config { lr: 4.0, schedule, warmup_steps: Some(warmup_steps), ..Default::default() }
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-12
    }

    #[test]
    fn a_cosine_falls_from_the_end_of_the_warm_up_to_0_at_the_end_of_the_run() {
        let schedule = Schedule::new(&of(Decay::Cosine, 20), 120, 10.0);
        for (step, share) in [(0, 0.05), (9, 0.5), (19, 1.0), (20, 1.0), (70, 0.5), (120, 0.0)] {
            assert!(close(schedule.at(step), 4.0 * share), "{step}: {}", schedule.at(step));
        }
        assert!(close(schedule.at(45), 4.0 * 0.5 * (1.0 + 0.5_f64.sqrt())), "an eighth of a period");
        assert!((21..=120).all(|step| schedule.at(step) < schedule.at(step - 1)));
        let words = schedule.to_string();
        assert!(words.ends_with("a warm-up of 20 steps, a cosine to 0 at step 120"), "{words}");
        // Without a warm-up it is the one of MoCo v2, update by update.
        let plain = Schedule::new(&of(Decay::Cosine, 0), 8, 1.0);
        let share = |step: u64| 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / 8.0).cos());
        assert!((0..8).all(|step| close(plain.at(step), 4.0 * share(step))));
        assert!(close(Schedule::new(&of(Decay::Cosine, 1), 1, 1.0).at(0), 4.0), "the shortest run");
    }

    #[test]
    fn a_constant_rate_stays() {
        let schedule = Schedule::new(&of(Decay::Constant, 0), 100, 10.0);
        assert!((0..200).all(|step| close(schedule.at(step), 4.0)), "{schedule}");
    }

    #[test]
    fn a_warm_up_from_zero_begins_at_the_rate_0_and_one_from_one_does_not() {
        let at = |warmup_from, warmup_steps, step| {
            Schedule::new(&Config { warmup_from, ..of(Decay::Constant, warmup_steps) }, 100, 10.0).at(step)
        };
        for (step, zero, one) in [(0, 0.0, 1.0), (1, 1.0, 2.0), (3, 3.0, 4.0), (4, 4.0, 4.0), (9, 4.0, 4.0)] {
            assert!(close(at(WarmupFrom::Zero, 4, step), zero) && close(at(WarmupFrom::One, 4, step), one));
        }
        assert!(close(at(WarmupFrom::Zero, 0, 0), 4.0), "without a warm-up");
        let zero = Schedule::new(&Config { warmup_from: WarmupFrom::Zero, ..of(Decay::Cosine, 4) }, 100, 1.0);
        assert!(zero.to_string().contains("after a warm-up of 4 steps from 0, a cosine"), "{zero}");
    }

    #[test]
    fn a_warm_up_in_epochs_is_at_most_a_tenth_of_the_run() {
        let config = Config { warmup_epochs: Some(10.0), ..Default::default() };
        let steps = |steps, steps_an_epoch| Schedule::new(&config, steps, steps_an_epoch).warmup_steps();
        assert_eq!([steps(31_200, 312.5), steps(3_125, 312.5), steps(300, 62.5)], [3_120, 312, 30]);
        assert_eq!(steps(312_500, 312.5), 3_125);
        let none = Config { warmup_epochs: Some(0.0), ..config.clone() };
        assert_eq!(Schedule::new(&none, 1_000, 10.0).warmup_steps(), 0);
        assert_eq!(Schedule::new(&Config { warmup_steps: Some(7), ..config }, 9, 1.0).warmup_steps(), 7);
    }

    #[test]
    fn the_rate_grows_with_the_batch_by_the_rule_that_is_chosen() {
        let schedule = |lr, scaling, samples| {
            Schedule::new(&Config { lr, ..of(Decay::Constant, 0) }, 100, 10.0).scaled(scaling, samples)
        };
        // SimCLR's rules are equal at batches of 4096.
        assert!(close(schedule(0.3, LrScaling::Linear, 4096).at(0), 4.8));
        assert!(close(schedule(0.075, LrScaling::Sqrt, 4096).at(0), 4.8));
        assert!(close(schedule(0.03, LrScaling::None, 512).at(0), 0.03));
        let words = |scaling| schedule(0.5, scaling, 64).to_string();
        assert_eq!(
            words(LrScaling::Linear),
            "learning rate 0.125 (0.5 × 64 / 256) without warm-up, constant"
        );
        assert_eq!(words(LrScaling::Sqrt), "learning rate 4 (0.5 × √64) without warm-up, constant");
    }

    #[test]
    fn a_lengthened_cosine_keeps_the_rates_of_the_steps_made_and_then_is_that_of_the_longer_run() {
        let config = of(Decay::Cosine, 10);
        let [short, long, longest] = [100, 200, 300].map(|steps| Schedule::new(&config, steps, 10.0));
        for at in [5, 60, 100] {
            let longer = Schedule::of_lengths(&config, &[Lengthened { at, from: 100 }], 200, 10.0);
            assert!((0..at).all(|step| close(longer.at(step), short.at(step))), "steps made before {at}");
            assert!((at..=200).all(|step| close(longer.at(step), long.at(step))), "steps made after {at}");
        }
        let twice = [Lengthened { at: 70, from: 100 }, Lengthened { at: 185, from: 200 }];
        let twice = Schedule::of_lengths(&config, &twice, 300, 10.0);
        for (steps, expected) in [(0..70, &short), (70..185, &long), (185..301, &longest)] {
            assert!(steps.clone().all(|step| close(twice.at(step), expected.at(step))), "{steps:?}");
        }
    }

    #[test]
    fn the_published_drops_of_other_methods_are_shares_of_the_run() {
        // Epochs of ten updates. Instance discrimination on CIFAR-10 has ×0.1^⌊(e − 80) / 40⌋ from epoch 80 on.
        for (epochs, drop_at, factor, expected) in [
            (200, vec![0.6, 0.8], 0.1, [(119, 1.0), (120, 0.1), (159, 0.1), (160, 0.01)]),
            (
                240,
                vec![0.5, 160.0 / 240.0, 200.0 / 240.0],
                0.1,
                [(119, 1.0), (120, 0.1), (199, 0.01), (200, 1e-3)],
            ),
        ] {
            let config = Config { drop_at, drop_factor: factor, ..of(Decay::Published, 0) };
            let schedule = Schedule::new(&config, 10 * epochs, 10.0);
            assert!(expected.iter().all(|&(epoch, share)| close(schedule.at(10 * epoch), 4.0 * share)));
            assert!(expected.iter().all(|&(epoch, share)| close(schedule.at(10 * epoch + 9), 4.0 * share)));
        }
    }
}
