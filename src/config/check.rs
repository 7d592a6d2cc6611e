//! Checks of settings: contradictions between them, and numbers out of bounds.

use anyhow::{Context, Result};
use pipeline::{Group, Recipe};
use toml::Table;

use super::{layers::flattened, run::Metric, whole::Config};
use crate::{settings::OutOfBounds, usage};

impl Config {
    /// Checks the settings against each other and against their bounds.
    pub(crate) fn check(&self) -> Result<()> {
        if self.train.steps.is_some() && self.train.epochs.is_some() {
            return Err(usage!("both `train.steps` and `train.epochs` are given"; "leave out one of them"));
        }
        self.check_bounds()?;
        self.data.check_servers()?;
        self.check_validation()?;
        self.optim.check()?;
        self.method.chosen().check(&self.encoder)?;
        self.encoder.chosen().check(self.side())?;
        self.recipe.check(self.side())?;
        self.check_normalization()?;
        self.check_views()
    }

    /// Checks the settings that drawing views needs.
    pub(super) fn check_for_drawing(&self) -> Result<()> {
        self.check_bounds()?;
        self.recipe.check(self.side())
    }

    /// Checks that the method can use the views of the recipe.
    fn check_views(&self) -> Result<()> {
        let (method, side) = (self.method.chosen(), self.side());
        let (published, own) = (method.recipe(self.preset, side), self.recipe());
        if views(&published) == views(&own) {
            return Ok(());
        }
        let needed = match method.least_views() {
            Some(least) if begins_with(&own, least, side) => return self.check_other_sides(&own),
            Some(least) => format!("at least {least} views of {side} pixels, which smaller ones may follow"),
            None => views(&published),
        };
        Err(usage!(
            "the method {} needs {needed}, but the recipe makes {}", method.name(), views(&own);
            "change the number or the order of [[recipe.views]], their `count` or `side`, or --side; `show --config` draws \
             recipes of any views"
        ))
    }

    /// Checks that the encoder can be trained on views of other sides than that of the run.
    fn check_other_sides(&self, recipe: &Recipe) -> Result<()> {
        let encoder = self.encoder.chosen();
        let mut others = recipe.groups.iter().map(|group| group.side).filter(|&side| side != self.side());
        if !encoder.takes_other_sides()
            && let Some(other) = others.next()
        {
            return Err(usage!(
                "the encoder {} takes images of one side, but the recipe makes views of {} and of {other} pixels",
                encoder.name(), self.side();
                "give all views the same side, or choose a ResNet with --encoder"
            ));
        }
        others.try_for_each(|side| {
            encoder.check(side).map_err(|error| usage!("{error}"; "correct the `side` of the view"))
        })
    }

    /// Checks that no normalization is given where the encoder has one of its own.
    fn check_normalization(&self) -> Result<()> {
        let encoder = self.encoder.chosen();
        let is_given = self.recipe.mean.is_some() || self.recipe.std.is_some();
        if is_given && encoder.normalization().is_some() {
            return Err(usage!(
                "the encoder ({}) converts pixels itself, but the recipe has a `mean` or `std`", encoder.flags();
                "remove them from [recipe]"
            ));
        }
        Ok(())
    }

    /// Checks that there is validation data where a setting needs validations.
    fn check_validation(&self) -> Result<()> {
        let Self { data, run, .. } = self;
        let needs_validation = run.knn_every > 0 || run.best.is_some();
        if needs_validation && data.val_shards.is_empty() {
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

    /// Refuses the first number that is out of its bounds.
    fn check_bounds(&self) -> Result<()> {
        let values = flattened(&Table::try_from(self).context("cannot write the settings as TOML")?, "");
        let settings = self.own_settings();
        for setting in &settings {
            let value = values.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| value);
            if let Some(OutOfBounds { number, bounds }) = value.and_then(|value| setting.out_of_bounds(value))
            {
                return Err(usage!("`{}` is {number}", setting.key; "write {bounds}"));
            }
        }
        Ok(())
    }
}

/// Returns whether a recipe begins with `least` views or more of `side` pixels, and all others are smaller.
fn begins_with(recipe: &Recipe, least: usize, side: u32) -> bool {
    let mut groups = recipe.groups.iter();
    let begins = groups.next().is_some_and(|group| group.side == side && group.views.len() >= least);
    begins && groups.all(|group| group.side < side)
}

/// Returns the number and the sides of the views of a recipe in words.
fn views(recipe: &Recipe) -> String {
    let group = |Group { side, views }: &Group| {
        let noun = if views.len() == 1 { "view" } else { "views" };
        format!("{} {noun} of {side} pixels", views.len())
    };
    recipe.groups.iter().map(group).collect::<Vec<_>>().join(" and ")
}
