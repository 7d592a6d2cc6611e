//! What is better known before a run begins than after a day of it: images that the preset enlarges, and a run that takes days.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use pipeline::{Decoder, Preset};
use serde::Serialize;
use shards::{Order, Position, ShardSet, Share, Shuffle};
use tch::{Device, Kind, Tensor};

use super::Run;
use crate::eval;

/// Images whose sizes are looked at, evenly spread over the set.
const LOOKED_AT: u64 = 32;

/// Images that are smaller than what is made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Enlarged {
    /// Of the image in the middle, by the shorter side.
    width: u32,
    height: u32,
    preset: Preset,
    /// The preset whose images are not larger, or the smallest one.
    fitting: Preset,
}

impl Enlarged {
    /// Looks at the headers of some images; those that cannot be read are others' to tell of.
    pub(crate) fn of(set: &ShardSet, preset: Preset) -> Result<Option<Self>> {
        let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
        let some = eval::evenly(set, LOOKED_AT);
        let decoder = Decoder::new(u64::MAX)?;
        let size = |bytes: &[u8]| decoder.header(bytes).ok().map(|header| (header.width, header.height));
        let samples = some.samples(order, Share::default(), Position::default());
        let sizes = samples.flatten().filter_map(|sample| sample.image.read(size).ok()?);
        Ok(Self::of_sizes(sizes.collect(), preset))
    }

    fn of_sizes(mut sizes: Vec<(u32, u32)>, preset: Preset) -> Option<Self> {
        sizes.sort_by_key(|(width, height)| *width.min(height));
        let &(width, height) = sizes.get(sizes.len() / 2)?;
        let side = width.min(height);
        let fitting = Preset::ALL.into_iter().rfind(|preset| preset.side() <= side).unwrap_or(Preset::C10);
        (fitting.side() < preset.side()).then_some(Self { width, height, preset, fitting })
    }
}

impl fmt::Display for Enlarged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, preset, fitting } = self;
        write!(
            f,
            "half of the images looked at are no larger than {width}×{height}; preset {preset} enlarges them to {} px, which costs \
             time and adds no detail\n  hint: choose --preset {fitting}, which trains on {} pixels",
            preset.side(),
            fitting.side()
        )
    }
}

/// A day, after which nobody waits for a run any more.
const DAY: Duration = Duration::from_secs(86_400);

impl Run {
    /// Warns of what a new run would be sorry for.
    pub(crate) fn look_ahead(&self) -> Result<()> {
        if let Some(enlarged) = Enlarged::of(&self.data.train, self.config.preset)? {
            tracing::warn!("{enlarged}");
        }
        if let Some(time) = self.time_of_steps().filter(|&time| time > DAY) {
            tracing::warn!("{}", takes_days(time, self.steps));
        }
        Ok(())
    }

    /// What the steps take, data and all else aside, by the encoder's way through a few images: it is gone for two views, and back again at twice
    /// the cost. None where there is no telling.
    fn time_of_steps(&self) -> Option<Duration> {
        const WAYS: f64 = 6.0;
        let few = if self.device == Device::Cpu { 4 } else { self.batch_size };
        let few = few.min(self.batch_size) as i64;
        let side = i64::from(self.config.preset.side());
        let images = Tensor::zeros([few, 3, side, side], (Kind::Float, self.device));
        let pass = || {
            let started = Instant::now();
            let _autocast = self.config.train.precision.autocast(self.device);
            let features = tch::no_grad(|| self.trainer.network().encoder().features(&images, false));
            features.sum(Kind::Float).double_value(&[]); // waits for it
            started.elapsed()
        };
        // The first time is one of getting ready.
        let spent = torchkit::caught(|| pass().min(pass())).ok()?.as_secs_f64();
        let steps = self.steps.saturating_sub(self.trainer.step_count()) as f64;
        Duration::try_from_secs_f64(WAYS * spent * self.batch_size as f64 / few as f64 * steps).ok()
    }
}

fn takes_days(time: Duration, steps: u64) -> String {
    let days = time.as_secs_f64() / DAY.as_secs_f64();
    format!(
        "the {steps} steps will take about {days:.1} days on this machine, judging by a few images\n  hint: run `amdim-stream plan` \
         with the same flags to measure what holds it up; make the run shorter with --epochs or --steps"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_images_under_a_large_preset_are_told_with_the_preset_that_fits() {
        let fitting = |sizes: &[(u32, u32)], preset| {
            Enlarged::of_sizes(sizes.to_vec(), preset).map(|enlarged| enlarged.fitting)
        };
        assert_eq!(fitting(&[(32, 32)], Preset::In128), Some(Preset::C10));
        assert_eq!(fitting(&[(96, 96)], Preset::In128), Some(Preset::Stl10));
        assert_eq!(fitting(&[(28, 28)], Preset::In128), Some(Preset::C10), "the smallest there is");
        assert_eq!(fitting(&[(28, 28)], Preset::C10), None);
        assert_eq!(fitting(&[(500, 128)], Preset::In128), None);
        assert_eq!(fitting(&[(500, 40)], Preset::In128), Some(Preset::C10), "by the shorter side");
        assert_eq!(fitting(&[(32, 32), (400, 300), (500, 375)], Preset::In128), None, "one of them is small");
        assert_eq!(fitting(&[], Preset::In128), None);
        let told = Enlarged::of_sizes(vec![(32, 30)], Preset::In128).unwrap().to_string();
        assert!(
            told.contains("no larger than 32×30; preset in128 enlarges them to 128 px")
                && told.contains("--preset c10, which trains on 32 pixels"),
            "{told}"
        );
    }

    #[test]
    fn a_run_of_days_is_told_with_its_length_and_names_plan() {
        let told = takes_days(3 * DAY + DAY / 2, 12_000);
        assert!(
            told.contains("12000 steps will take about 3.5 days") && told.contains("`amdim-stream plan`"),
            "{told}"
        );
    }
}
