//! Options of how a step is computed.

use torchkit::Precision;

use crate::world::World;

/// Options of how a step is computed. They change only rounding and, with more than one part, the statistics
/// of batch norms, which are then computed for each part.
#[derive(Debug, Clone, Copy)]
pub struct ComputeOptions {
    /// The precision of the encoder.
    pub precision: Precision,
    /// The number of parts that the batch is encoded in, one after the other.
    pub parts: i64,
    /// Whether only the inputs of blocks are kept for the backward pass, and the rest is computed a second
    /// time.
    pub by_block: bool,
    /// The processes that train together. The objective compares the embeddings of all of them.
    pub world: World,
}
