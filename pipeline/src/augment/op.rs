//! The operations of a recipe.

use serde::{Deserialize, Serialize};

/// An operation with the ranges from which its parameters are drawn; `p` is the probability that it is
/// applied at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// A horizontal mirroring.
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
    /// A crop of random size, shape and place, resized to the recipe's side.
    ResizedCrop {
        /// The smallest and the largest share of the image's area.
        scale: (f64, f64),
        /// The smallest and the largest ratio of width to height.
        ratio: (f64, f64),
    },
    /// A resizing of the whole image, such that its shorter edge has this length.
    ResizeShort {
        /// The length in pixels.
        edge: u32,
    },
    /// A crop of the recipe's side from the middle of the image.
    CenterCrop,
    /// Changes of brightness, contrast, saturation and hue, in random order.
    ColorJitter {
        /// Probability.
        p: f64,
        /// The largest distance of the factor from 1.
        brightness: f64,
        /// The largest distance of the factor from 1.
        contrast: f64,
        /// The largest distance of the factor from 1.
        saturation: f64,
        /// The largest turn of the colour circle in either direction.
        hue: f64,
    },
    /// A conversion to gray.
    Grayscale {
        /// Probability.
        p: f64,
    },
}
