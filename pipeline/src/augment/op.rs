//! One operation of a recipe.

use serde::{Deserialize, Serialize};

/// One operation with the ranges that its parameters are drawn from; `p` is the probability that it happens at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Left becomes right.
    Flip {
        /// Probability.
        p: f64,
    },
    /// A shift by whole pixels; the uncovered border is reflected.
    Translate {
        /// Probability.
        p: f64,
        /// The most pixels in each direction.
        max: u32,
    },
    /// A random part of the image, resized to the recipe's side.
    ResizedCrop {
        /// Smallest and largest share of the image's area.
        scale: (f64, f64),
        /// Smallest and largest width over height.
        ratio: (f64, f64),
    },
    /// The whole image, resized so that its shorter edge has this length.
    ResizeShort {
        /// The length in pixels.
        edge: u32,
    },
    /// The middle of the image, of the recipe's side.
    CenterCrop,
    /// Brightness, contrast, saturation and hue in random order.
    ColorJitter {
        /// Probability.
        p: f64,
        /// Factors lie within 1 ± this.
        brightness: f64,
        /// Factors lie within 1 ± this.
        contrast: f64,
        /// Factors lie within 1 ± this.
        saturation: f64,
        /// Turns of the colour circle lie within ± this.
        hue: f64,
    },
    /// Gray in all three channels.
    Grayscale {
        /// Probability.
        p: f64,
    },
}
