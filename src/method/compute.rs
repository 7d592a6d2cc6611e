//! Options of how a step is computed.

use torchkit::Precision;

use crate::{
    encoder::{Moves, Norming, Part},
    world::World,
};

/// Options of how a step is computed. They change only rounding and, by `norm_groups`, the samples that batch norms
/// normalize together.
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
    /// The number of groups of a batch of all processes whose samples batch norms normalize separately: that of the
    /// parts, so that a part is normalized as a whole, or a multiple of parts × processes.
    pub norm_groups: i64,
    /// Whether the distribution of scores is computed, too.
    pub with_scores: bool,
}

impl ComputeOptions {
    /// A step in f32 of one process, as a whole.
    pub const PLAIN: Self = Self {
        precision: Precision::F32,
        parts: 1,
        by_block: false,
        world: World::ALONE,
        norm_groups: 1,
        with_scores: false,
    };

    /// Returns how batch norms treat part `number` of the batch.
    pub fn norming(self, number: i64) -> Norming {
        let (moves, part) = (Moves::ByMean, Part { number, of: self.parts });
        if self.norm_groups == self.parts {
            return Norming { groups: 1, world: self.world, moves, part, later_views: 0 };
        }
        let groups = self.norm_groups / (self.parts * self.world.size() as i64);
        Norming { groups, world: World::ALONE, moves, part, later_views: 0 }
    }
}
