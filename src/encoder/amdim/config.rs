//! The size of the encoder.

use crate::{
    numbers,
    settings::{Heading, settings, whole, yes_or_no},
};

settings! {
    /// The size of the encoder. The defaults are those of the reference implementation.
    pub struct Config {
        /// Channels of the first layer.
        ndf: i64 = 128, whole(numbers::CHANNELS).flag(Heading::Amdim, "N");
        /// Channels of the embeddings.
        n_rkhs: i64 = 1024, whole(numbers::EMBEDDING).flag(Heading::Amdim, "N");
        /// Residual layers in each block.
        n_depth: i64 = 3, whole(numbers::DEPTH).flag(Heading::Amdim, "N");
        /// Batch norms inside the trunk.
        use_bn: bool = false, yes_or_no().flag(Heading::Amdim, "BOOL");
    }
}
