//! A batch of views on the device.

use pipeline::{Group, Recipe};
use shards::Position;
use tch::{Device, Kind, Tensor};

/// A batch on the device.
#[derive(Debug)]
pub struct Views {
    /// Normalized views (v, n, 3, h, w) of each group of the recipe: consecutive views of the same side are one tensor.
    pub groups: Vec<Tensor>,
    /// Classes (n), i64, −1 where a sample has none.
    pub labels: Tensor,
    /// Indices of the samples in the set that the method trains on (n), i64, which address banks.
    pub indices: Tensor,
    /// The position after this batch.
    pub next: Position,
}

impl Views {
    /// Returns the views (v, n, 3, h, w) of the first group, which is the only one of most recipes.
    ///
    /// # Panics
    ///
    /// If there is no view.
    pub fn images(&self) -> &Tensor {
        &self.groups[0]
    }
}

/// Returns a batch of noise images of class 0, with the views of `recipe` and in the memory layout of the feed.
pub fn made_up(recipe: &Recipe, samples: usize, device: Device) -> Views {
    let samples = samples as i64;
    let images = |group: &Group| {
        let (views, side) = (group.views.len() as i64, i64::from(group.side));
        Tensor::randn([views, samples, side, side, 3], (Kind::Float, device)).permute([0, 1, 4, 2, 3])
    };
    let groups = recipe.groups.iter().map(images).collect();
    let labels = Tensor::zeros([samples], (Kind::Int64, device));
    let indices = Tensor::arange(samples, (Kind::Int64, device));
    Views { groups, labels, indices, next: Position::default() }
}
