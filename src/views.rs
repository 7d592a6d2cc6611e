//! A batch of views on the device.

use shards::Position;
use tch::Tensor;

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
