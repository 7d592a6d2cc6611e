//! How a loader is set up.

use std::thread;

use serde::{Deserialize, Serialize};

use crate::{BadSampleBudget, DecodeMode, Error, Recipe, Result, Shape, Slab};

/// How samples become batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Threads that decode and augment. Batches do not depend on their number.
    pub workers: usize,
    /// Samples of a batch.
    pub batch_size: usize,
    /// Finished batches that may wait to be taken.
    pub prefetch: usize,
    /// What all randomness is derived from, together with epoch, sample and view.
    pub seed: u64,
    /// Whether the last samples of a finite stream are left out when they fill no batch.
    pub drop_last: bool,
    /// How exactly JPEGs are decoded.
    pub decode: DecodeMode,
    /// Images of more pixels are bad samples.
    pub max_pixels: u64,
    /// How many bad samples to put up with.
    pub max_bad: BadSampleBudget,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            workers: thread::available_parallelism().map_or(1, usize::from),
            batch_size: 200,
            prefetch: 2,
            seed: 0,
            drop_last: false,
            decode: DecodeMode::default(),
            max_pixels: 100_000_000,
            max_bad: BadSampleBudget::default(),
        }
    }
}

impl LoaderConfig {
    /// Slabs that a loader needs so that nobody waits for one: one being filled, those that wait, one in use.
    ///
    /// Who holds on to several batches adds one for each further batch.
    pub fn slabs(&self) -> usize {
        self.prefetch + 2
    }

    /// Bytes of the buffers for one sample's views that go from worker to batch and back.
    pub fn spare_bytes(&self, recipe: &Recipe) -> u64 {
        let Shape { views, side, .. } = self.shape(recipe);
        (self.spares() * views * side * side * 3) as u64
    }

    /// Buffers for one sample's views: one that is filled, and two on their way, for each worker.
    pub(crate) fn spares(&self) -> usize {
        3 * self.workers
    }

    /// The shape of a full batch: [`Shape::bytes`] is what a slab must hold.
    pub fn shape(&self, recipe: &Recipe) -> Shape {
        Shape { views: recipe.views.len(), samples: self.batch_size, side: recipe.side as usize }
    }

    /// Refuses what cannot work.
    pub(crate) fn check<S: Slab>(&self, recipe: &Recipe, slabs: &[S]) -> Result<()> {
        let needed = self.shape(recipe).bytes();
        let smallest = slabs.iter().map(|slab| slab.as_ref().len()).min().unwrap_or(0);
        let wrong = if self.workers == 0 {
            "`workers` is 0, but 1 is needed at least".to_owned()
        } else if needed == 0 {
            "a batch would be empty: `batch_size`, views and side of the recipe are 1 or more".to_owned()
        } else if slabs.len() < self.slabs() {
            format!("{} slabs are too few: `prefetch` + 2 are needed, {}", slabs.len(), self.slabs())
        } else if smallest < needed {
            format!("a slab of {smallest} bytes is too small: a batch takes {needed}")
        } else {
            return Ok(());
        };
        Err(Error::Config(wrong))
    }
}
