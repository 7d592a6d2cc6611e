//! The configuration of a loader.

use std::thread;

use serde::{Deserialize, Serialize};

use crate::{BadSampleBudget, DecodeMode, Error, Group, Recipe, Result, Shape, Slab};

/// The configuration of a [`Loader`](crate::Loader).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// The number of threads that decode and augment. Batches do not depend on it.
    pub workers: usize,
    /// The number of samples in a batch.
    pub batch_size: usize,
    /// The number of finished batches that may wait to be taken.
    pub prefetch: usize,
    /// The seed from which all randomness is derived, together with epoch, sample and view.
    pub seed: u64,
    /// Whether the last samples of a finite stream are dropped if they do not fill a batch.
    pub drop_last: bool,
    /// The exactness with which JPEGs are decoded.
    pub decode: DecodeMode,
    /// The most pixels of an image; larger images are bad samples.
    pub max_pixels: u64,
    /// The number of bad samples that are tolerated.
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
    /// Returns the number of slabs with which no thread waits for one: one being filled, `prefetch` that
    /// wait, one in use.
    ///
    /// A caller that holds several batches at a time adds one for each further batch.
    pub fn slabs(&self) -> usize {
        self.prefetch + 2
    }

    /// Returns the bytes of the buffers that carry one sample's views each from a worker to the batching
    /// thread and back.
    pub fn spare_bytes(&self, recipe: &Recipe) -> u64 {
        (self.spares() * recipe.bytes()) as u64
    }

    /// Returns the number of those buffers: for each worker one that is filled, and two on their way.
    pub(crate) fn spares(&self) -> usize {
        3 * self.workers
    }

    /// Returns the shapes of a full batch, one for each group of views.
    pub fn shapes(&self, recipe: &Recipe) -> Vec<Shape> {
        let shape = |group: &Group| {
            let (views, side) = (group.views.len(), group.side as usize);
            Shape { views, samples: self.batch_size, side }
        };
        recipe.groups.iter().map(shape).collect()
    }

    /// Returns the bytes of a full batch, which a slab must hold.
    pub fn bytes(&self, recipe: &Recipe) -> usize {
        self.batch_size * recipe.bytes()
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is 0, the recipe cannot work, or the slabs are too few or too small.
    pub(crate) fn check<S: Slab>(&self, recipe: &Recipe, slabs: &[S]) -> Result<()> {
        recipe.check().map_err(|error| Error::Config(error.to_string()))?;
        let needed = self.bytes(recipe);
        let smallest = slabs.iter().map(|slab| slab.as_ref().len()).min().unwrap_or(0);
        let wrong = if self.workers == 0 {
            "`workers` is 0, but must be at least 1".to_owned()
        } else if needed == 0 {
            "a batch would be empty: `batch_size` must be at least 1".to_owned()
        } else if slabs.len() < self.slabs() {
            format!("{} slabs are too few: `prefetch` + 2 = {} are needed", slabs.len(), self.slabs())
        } else if smallest < needed {
            format!("a slab of {smallest} bytes is too small: a batch takes {needed}")
        } else {
            return Ok(());
        };
        Err(Error::Config(wrong))
    }
}
