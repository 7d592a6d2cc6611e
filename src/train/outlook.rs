//! A look ahead, before the first step of a new run: images that the preset enlarges, and a run that takes
//! days.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::Run;
use crate::{config::Config, encoder::Mode, hint::Notice, notice, run::enlarged::Enlarged};

/// A run that takes longer than this gets a warning.
const DAY: Duration = Duration::from_secs(86_400);

impl Run {
    /// Warns of images that the preset enlarges, of settings of the method that do not suit the set, and of a
    /// run that takes days.
    pub(crate) fn look_ahead(&self) {
        if let Some(enlarged) = Enlarged::of(&self.data.train, self.config.side()) {
            tracing::warn!("{}", enlarged.notice());
        }
        let set = self.config.training_set(self.data.train.len());
        if let Some(warning) = self.config.method.chosen().warning(set) {
            tracing::warn!("{warning}");
        }
        if let Some(warning) = rate_of_another_optimizer(&self.config) {
            tracing::warn!("{warning}");
        }
        if let Some(time) = self.time_of_steps().filter(|&time| time > DAY) {
            tracing::warn!("{}", takes_days(time, self.steps));
        }
    }

    /// Estimates the time of all steps, without loading, from a forward pass of the encoder on a few images.
    /// A step costs three such passes for each view: one forward, and twice as much backward. Returns `None`
    /// if the pass fails.
    fn time_of_steps(&self) -> Option<Duration> {
        let own = f64::from(self.config.side()).powi(2);
        let recipe = self.config.recipe();
        let views: f64 = recipe.views().map(|(side, _)| f64::from(side).powi(2) / own).sum();
        let passes = 3.0 * views;
        let few = if self.device == Device::Cpu { 4 } else { self.batch_size };
        let few = few.min(self.batch_size) as i64;
        let side = i64::from(self.config.side());
        let images = Tensor::zeros([few, 3, side, side], (Kind::Float, self.device));
        let pass = || {
            let started = Instant::now();
            let _autocast = self.config.train.precision.autocast(self.device);
            let features =
                tch::no_grad(|| self.trainer.network().encoder().features(&images, Mode::Evaluation));
            features.sum(Kind::Float).double_value(&[]); // waits for the device
            started.elapsed()
        };
        // The first pass is slower, as it allocates memory.
        let spent = torchkit::caught(|| pass().min(pass())).ok()?.as_secs_f64();
        let steps = self.steps.saturating_sub(self.trainer.step_count()) as f64;
        Duration::try_from_secs_f64(passes * spent * self.batch_size as f64 / few as f64 * steps).ok()
    }
}

/// Returns a warning if the learning rate is the default, which is that of another optimizer.
fn rate_of_another_optimizer(config: &Config) -> Option<Notice> {
    let (own, published) = (&config.optim, config.method.chosen().defaults(config.preset).optim);
    let is_default = own.lr.to_bits() == published.lr.to_bits();
    (own.name != published.name && is_default).then(|| {
        notice!(
            "the learning rate {} is the default for the optimizer {}, not for {}",
            own.lr, published.name.name(), own.name.name();
            "set --lr"
        )
    })
}

fn takes_days(time: Duration, steps: u64) -> Notice {
    let days = time.as_secs_f64() / DAY.as_secs_f64();
    notice!(
        "the {steps} steps will take about {days:.1} days on this machine, as estimated from a few images";
        "run `amdim-stream plan` with the same flags to measure its bottleneck; make the run shorter with --epochs or --steps"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_of_another_optimizer_is_warned_of() {
        let warning = |optim: &str| {
            let text = format!("preset = 'c10'\nmethod.name = 'simclr'\n{optim}");
            rate_of_another_optimizer(&Config::resolve(&text.parse().unwrap()).unwrap())
        };
        let found = warning("optim.name = 'adamw'").unwrap();
        assert!(found.message.contains("for the optimizer lars, not for adamw"), "{found}");
        assert!(warning("").is_none() && warning("optim = { name = 'adamw', lr = 1e-3 }").is_none());
    }

    #[test]
    fn the_warning_of_a_long_run_says_its_days_and_names_plan() {
        let warning = takes_days(3 * DAY + DAY / 2, 12_000);
        assert!(
            warning.message.contains("12000 steps will take about 3.5 days")
                && warning.hints[0].contains("`amdim-stream plan`"),
            "{warning}"
        );
    }
}
