//! The length of a run, which may grow after it has begun.

use std::cmp::Ordering;

use anyhow::Result;
use toml::Table;

use crate::{
    checkpoint::State,
    config::Config,
    optim::{Decay, Lengthened},
    usage,
};

/// Returns the settings of a new run. If they come from the file of a run that became longer, its notes of
/// that are removed.
///
/// # Errors
///
/// If the settings are not valid.
pub(crate) fn of_new_run(asked: &Table) -> Result<Config> {
    let mut config = Config::resolve(asked)?;
    config.train.lengthened.clear();
    Ok(config)
}

/// Resolves the length of a resumed run. `config` has the settings that are requested, `saved` those of
/// the checkpoint. A run that becomes longer keeps a note of that, so that the learning rates of past steps
/// stay as they were.
///
/// # Errors
///
/// If the run would become shorter, or if it is finished and `extend` is not set.
pub(crate) fn settle(config: &mut Config, saved: &State, extend: bool) -> Result<()> {
    let then = &saved.config.train;
    config.train.lengthened.clone_from(&then.lengthened);
    let Some(batch_size) = then.batch_size.filter(|_| saved.data.samples > 0) else { return Ok(()) };
    let count = |config: &Config| steps(config, batch_size, saved.data.samples);
    let (before, now) = (count(&saved.config), count(config));
    let (out, made) = (config.out.display(), saved.step);
    match now.cmp(&before) {
        // The length may be given in another way, as `steps` for `epochs`.
        Ordering::Equal => (config.train.steps, config.train.epochs) = (then.steps, then.epochs),
        Ordering::Less => {
            return Err(usage!(
                "the run in `{out}` cannot become shorter: it began with {before} steps, has made {made} of them, and {now} are \
                 requested";
                "stop it with Ctrl-C or --max-hours after enough steps, or name another folder with --out"
            ));
        }
        Ordering::Greater if made >= before && !extend => {
            let rate = match config.optim.schedule {
                Decay::Cosine => "by the cosine of the longer run",
                Decay::Published | Decay::Reference | Decay::Constant => "at its final learning rate",
            };
            return Err(usage!(
                "the run in `{out}` is finished after {before} steps, and {now} are requested";
                "add --extend to go on {rate}, or begin a new run with its encoder: \
                 --warm-start {out} and another --out"
            ));
        }
        Ordering::Greater if made > 0 => config.train.lengthened.push(Lengthened { at: made, from: before }),
        Ordering::Greater => (),
    }
    Ok(())
}

/// Returns the published length of training for this kind of data.
pub(crate) fn default_epochs(config: &Config) -> f64 {
    config.method.chosen().defaults(config.preset).epochs
}

/// Returns the number of updates of the whole run on a set of `samples`. A batch may span the end of an epoch.
pub(crate) fn steps(config: &Config, batch_size: usize, samples: u64) -> u64 {
    let chosen = config.method.chosen().subset(samples, config.seed);
    let samples = chosen.map_or(samples, |chosen| chosen.len() as u64);
    let samples = config.data.samples_an_epoch(samples);
    let epochs = config.train.epochs.unwrap_or_else(|| default_epochs(config));
    let whole = (epochs * samples as f64 / batch_size as f64).floor() as u64;
    config.train.steps.unwrap_or(whole).max(1)
}

#[cfg(test)]
mod tests {
    use shards::Position;

    use super::*;
    use crate::{checkpoint::DataIdentity, config::Config, hint};
    use pipeline::Preset;

    /// Returns the state of a run of 10 epochs of five steps, on 100 samples, after `step` steps.
    fn state(step: u64) -> State {
        let mut config = Config::preset(Preset::C10);
        (config.train.epochs, config.train.batch_size) = (Some(10.0), Some(20));
        let data = DataIdentity { digest: 1, samples: 100 };
        State { step, position: Position::default(), data, classes: None, class_names: Vec::new(), config }
    }

    fn settled(step: u64, epochs: Option<f64>, steps: Option<u64>, extend: bool) -> Result<Config> {
        let saved = state(step);
        let mut config = saved.config.clone();
        (config.train.epochs, config.train.steps) = (epochs, steps);
        settle(&mut config, &saved, extend).map(|()| config)
    }

    #[test]
    fn a_run_can_become_longer_and_not_shorter() {
        let longer = settled(20, None, Some(51), false).unwrap();
        assert_eq!(longer.train.lengthened, [Lengthened { at: 20, from: 50 }]);
        let longer = settled(20, Some(20.0), None, false).unwrap();
        assert_eq!((longer.train.epochs, longer.train.lengthened.len()), (Some(20.0), 1));
        assert!(
            settled(0, Some(20.0), None, false).unwrap().train.lengthened.is_empty(),
            "no step is made yet"
        );
        let shorter = hint::render(&settled(20, None, Some(49), true).unwrap_err());
        assert!(shorter.contains("began with 50 steps, has made 20 of them, and 49"), "{shorter}");
    }

    #[test]
    fn a_new_run_with_the_settings_of_a_lengthened_run_has_no_note_of_that() {
        let longer = settled(20, None, Some(51), false).unwrap();
        let asked = Table::try_from(&longer).unwrap();
        assert_eq!(Config::resolve(&asked).unwrap().train.lengthened.len(), 1);
        assert!(of_new_run(&asked).unwrap().train.lengthened.is_empty());
    }

    #[test]
    fn the_same_length_in_another_unit_changes_nothing() {
        assert_eq!(settled(20, None, Some(50), false).unwrap(), state(20).config);
        assert_eq!(settled(50, None, Some(50), true).unwrap(), state(50).config);
    }

    #[test]
    fn a_finished_run_becomes_longer_only_with_extend() {
        let refused = hint::render(&settled(50, None, Some(60), false).unwrap_err());
        assert!(refused.contains("--extend") && refused.contains("--warm-start"), "{refused}");
        let longer = settled(50, None, Some(60), true).unwrap();
        assert_eq!(longer.train.lengthened, [Lengthened { at: 50, from: 50 }]);
    }
}
