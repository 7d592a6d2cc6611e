//! The size of the encoder.

use crate::{
    numbers,
    settings::{Heading, settings, whole, yes_or_no},
};

settings! {
    /// The size of the encoder. The defaults are those of the reference implementation.
    pub struct Config {
        /// Channels of the first stage.
        width: i64 = 64, whole(numbers::CHANNELS).flag(Heading::Resnet, "N");
        /// Blocks of three convolutions with four times as many output channels, as in ResNet-50, instead of
        /// blocks of two, as in ResNet-34.
        bottleneck: bool = false, yes_or_no().flag(Heading::Cpc, "BOOL");
        /// Residual blocks of each stage.
        stages: [i64; 3] = [3, 4, 6], whole(numbers::DEPTH);
        /// Side of the patches in pixels; neighbouring patches overlap by half.
        #[serde(skip_serializing_if = "Option::is_none")]
        patch: Option<i64> = None, whole(numbers::PATCH).flag(Heading::Cpc, "PX").default("a quarter of the side");
    }
}

impl Config {
    /// Returns the side of the patches of images of `side` pixels.
    pub(super) fn patch(&self, side: u32) -> i64 {
        self.patch.unwrap_or(i64::from(side) / 4)
    }

    /// Returns the number of rows, and of columns, of the grid of patches of images of `side` pixels.
    pub fn rows(&self, side: u32) -> i64 {
        let patch = self.patch(side);
        (i64::from(side) - patch) / (patch / 2) + 1
    }

    /// Returns the number of channels of the features.
    pub(super) fn channels(&self) -> i64 {
        self.width * if self.bottleneck { 16 } else { 4 }
    }
}
