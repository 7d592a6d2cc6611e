//! A batch of views on the device.

use shards::Position;
use tch::Tensor;

/// A batch on the device.
#[derive(Debug)]
pub struct Views {
    /// Normalized views (v, n, 3, h, w).
    pub images: Tensor,
    /// Classes (n), i64, −1 where a sample has none.
    pub labels: Tensor,
    /// Indices of the samples in the set that the method trains on (n), i64, which address banks.
    pub indices: Tensor,
    /// The position after this batch.
    pub next: Position,
}
