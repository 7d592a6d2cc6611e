//! The size and the variant of a ResNet.

use serde::{Deserialize, Serialize};

use super::colors::Split;
use crate::{
    numbers,
    settings::{Heading, choice, settings, whole, yes_or_no},
};

settings! {
    /// The size and the variant of a ResNet. The defaults are those of torchvision.
    pub struct Config {
        /// Channels of the first stage; each later stage has twice as many as the one before.
        width: i64 = 64, whole(numbers::CHANNELS).flag(Heading::Resnet, "N");
        /// First layer: imagenet (a 7×7 convolution of stride 2 and a 3×3 max pooling of stride 2), cifar (a
        /// 3×3 convolution of stride 1) or auto (cifar for images of up to 32 pixels).
        stem: Stem = Stem::Auto, choice::<Stem>().flag(Heading::Resnet, "STEM").hide_choices().default("auto");
        /// Channels of the first layer.
        stem_width: Option<i64> = None, whole(numbers::CHANNELS).flag(Heading::Resnet, "N").default("WIDTH");
        /// Colour space of an encoder of two networks, one for lightness and one for colour: lab or ycbcr; or
        /// none, for one network.
        split: Split = Split::None, choice::<Split>().flag(Heading::Resnet, "SPACE").hide_choices()
            .default("none; with cmc lab");
        /// Initialize the weights of the last batch norm of each block with zero, so that residual branches
        /// begin at zero.
        zero_init_residual: bool = false, yes_or_no().flag(Heading::Resnet, "BOOL");
    }
}

/// The layers before the first stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// [`Cifar`](Self::Cifar) for images of up to 32 pixels, and else [`Imagenet`](Self::Imagenet).
    #[default]
    Auto,
    /// A 7×7 convolution of stride 2 and a 3×3 max pooling of stride 2.
    Imagenet,
    /// A 3×3 convolution of stride 1.
    Cifar,
}

impl Stem {
    /// Returns whether images of `side` pixels keep their size before the first stage.
    pub fn keeps_size(self, side: i64) -> bool {
        match self {
            Self::Auto => side <= 32,
            Self::Imagenet => false,
            Self::Cifar => true,
        }
    }
}
