//! Settings that do not fit each other, and numbers that are a slip of the hand or that nothing can be computed with.

use anyhow::{Context, Result};
use toml::Table;

use super::{layers::flattened, run::Metric, whole::Config};
use crate::usage;

impl Config {
    /// Checks that no part can make alone.
    pub(crate) fn check(&self) -> Result<()> {
        if self.train.steps.is_some() && self.train.epochs.is_some() {
            return Err(usage!("both `train.steps` and `train.epochs` are given"; "leave out one of them"));
        }
        self.check_bounds()?;
        self.check_validation()?;
        self.method.chosen().check(&self.encoder)?;
        self.encoder.chosen().check(self.preset.side())
    }

    /// What is measured in validations needs them.
    fn check_validation(&self) -> Result<()> {
        let Self { data, run, .. } = self;
        let is_asked = run.knn_every > 0 || run.best.is_some();
        if is_asked && data.val_shards.is_empty() {
            return Err(usage!(
                "`run.knn_every` and `run.best` need validations";
                "name validation shards with --val-shards"
            ));
        }
        if run.best == Some(Metric::Knn) && run.knn_every == 0 {
            return Err(
                usage!("`run.best` is knn, but `run.knn_every` is 0, so knn is never measured"; "add --knn-every 1"),
            );
        }
        Ok(())
    }

    /// Refuses a number that is out of its bounds, with them.
    fn check_bounds(&self) -> Result<()> {
        let values = flattened(&Table::try_from(self).context("cannot write the settings as TOML")?, "");
        let settings = Self::settings();
        let beyond = settings.iter().find_map(|setting| {
            let (_, value) = values.iter().find(|(key, _)| *key == setting.key)?;
            Some((&setting.key, setting.beyond(value)?))
        });
        match beyond {
            Some((key, (value, bounds))) => Err(usage!("`{key}` is {value}"; "write {bounds}")),
            None => Ok(()),
        }
    }
}
