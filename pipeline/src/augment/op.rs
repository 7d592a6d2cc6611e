//! The operations of a recipe.

use serde::{Deserialize, Serialize};

use super::filter::Filter;

/// An operation with the ranges from which its parameters are drawn, always uniformly. `p` is the probability
/// that it is applied at all; a recipe that does not give it means 1. [`Kind::ALL`](crate::Kind::ALL) lists
/// the values that are allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// A horizontal mirroring.
    Flip {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
    },
    /// A shift by whole pixels; the uncovered border is reflected.
    Translate {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The most pixels in each direction.
        max: u32,
    },
    /// A crop of random size, shape and place, resized to the view's side.
    ResizedCrop {
        /// The smallest and the largest share of the image's area.
        scale: (f64, f64),
        /// The smallest and the largest ratio of width to height.
        ratio: (f64, f64),
        /// The filter of the resizing.
        #[serde(default)]
        filter: Filter,
    },
    /// A crop of the view's side from a random place. A smaller image is first enlarged so that its
    /// shorter edge has that side.
    RandomCrop,
    /// A resizing of the whole image so that its shorter edge has this length.
    ResizeShort {
        /// The length in pixels.
        edge: u32,
    },
    /// A crop of the view's side from the middle of the image.
    CenterCrop,
    /// A translation, scaling and rotation about the middle of the image, as one bilinear sampling; the image
    /// keeps its size, and is mirrored at its edges.
    Affine {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The largest translation along each axis, as a share of the side.
        #[serde(default)]
        translate: f64,
        /// The smallest and the largest number of source pixels that become one along each axis.
        #[serde(default = "unscaled")]
        scale: (f64, f64),
        /// The largest rotation in either direction, in degrees.
        #[serde(default)]
        rotate: f64,
    },
    /// A square of the view's side about a seed that is drawn once per sample and stays the same in all
    /// epochs: Exemplar-CNN's surrogate class (Dosovitskiy et al. 2014). It is translated, scaled and rotated
    /// as one bilinear sampling of the image, which is mirrored at its edges.
    ///
    /// The scale of the seed is drawn first, then its place, with a probability proportional to the mean
    /// squared gradient of the luma within it.
    SeedPatch {
        /// The smallest and the largest side of the seed, as multiples of the view's side. An image that is
        /// smaller gives a seed as large as itself.
        zoom: (f64, f64),
        /// The largest translation along each axis, as a share of the side.
        #[serde(default)]
        translate: f64,
        /// The smallest and the largest number of source pixels that become one along each axis, relative to
        /// the scale of the seed.
        #[serde(default = "unscaled")]
        scale: (f64, f64),
        /// The largest rotation in either direction, in degrees.
        #[serde(default)]
        rotate: f64,
    },
    /// Changes of brightness, contrast, saturation and hue, in random order. Those whose distance is 0 are
    /// left out.
    ColorJitter {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The largest distance of the factor from 1.
        #[serde(default)]
        brightness: f64,
        /// The largest distance of the factor from 1.
        #[serde(default)]
        contrast: f64,
        /// The largest distance of the factor from 1.
        #[serde(default)]
        saturation: f64,
        /// The largest turn of the colour circle in either direction.
        #[serde(default)]
        hue: f64,
    },
    /// A conversion to gray.
    Grayscale {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
    },
    /// Pillow's Gaussian blur: three box blurs along the rows, and three along the columns.
    GaussianBlur {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The smallest and the largest standard deviation in pixels.
        sigma: (f64, f64),
    },
    /// An inversion of all values from a threshold on.
    Solarize {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The least value that is inverted.
        threshold: u8,
    },
    /// Exemplar-CNN's first change of contrast: the projection of each colour on a principal component is
    /// multiplied by a factor, which is drawn for each component.
    PcaContrast {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The smallest and the largest factor.
        factors: (f64, f64),
        /// The principal components of the set's colours.
        #[serde(default)]
        colours: Components,
    },
    /// Exemplar-CNN's second change of contrast, and its change of colour: saturation and value of HSV (0 to
    /// 1) become `value^power · factor + shift`, with draws of their own, and the hue is turned.
    HsvContrast {
        /// Probability.
        #[serde(default = "always")]
        p: f64,
        /// The smallest and the largest power.
        powers: (f64, f64),
        /// The smallest and the largest factor.
        factors: (f64, f64),
        /// The largest shift in either direction.
        shift: f64,
        /// The largest turn of the colour circle in either direction.
        hue: f64,
    },
}

impl Op {
    /// Returns the probability that the operation is applied; `None` if it always is, without a draw.
    pub(super) fn probability(&self) -> Option<f64> {
        match *self {
            Self::Flip { p }
            | Self::Translate { p, .. }
            | Self::Affine { p, .. }
            | Self::ColorJitter { p, .. }
            | Self::Grayscale { p }
            | Self::GaussianBlur { p, .. }
            | Self::Solarize { p, .. }
            | Self::PcaContrast { p, .. }
            | Self::HsvContrast { p, .. } => Some(p),
            Self::ResizedCrop { .. }
            | Self::RandomCrop
            | Self::ResizeShort { .. }
            | Self::CenterCrop
            | Self::SeedPatch { .. } => None,
        }
    }
}

/// The mean of colours (red, green, blue, from 0 to 1), and their principal components, which have length 1
/// and are orthogonal.
///
/// The default is that of ImageNet's training images, by Krizhevsky et al. (2012).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    /// The mean colour.
    pub mean: [f64; 3],
    /// The components, as rows.
    pub rows: [[f64; 3]; 3],
}

impl Components {
    /// Returns whether the mean is a colour, and the components are orthogonal and have length 1.
    pub fn are_orthonormal(&self) -> bool {
        let product = |a: &[f64; 3], b: &[f64; 3]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let is_right = |(number, row): (usize, &[f64; 3])| {
            let others = self.rows.iter().enumerate();
            others
                .map(|(other, column)| (product(row, column), if other == number { 1.0 } else { 0.0 }))
                .all(|(product, expected)| (product - expected).abs() < 1e-3)
        };
        self.mean.iter().all(|mean| (0.0..=1.0).contains(mean)) && self.rows.iter().enumerate().all(is_right)
    }
}

impl Default for Components {
    fn default() -> Self {
        let rows = [
            [-0.567_507_420, -0.580_807_594, -0.583_607_631],
            [0.719_167_531, -0.004_527_332, -0.694_821_966],
            [0.400_915_689, -0.814_028_281, 0.420_267_258],
        ];
        Self { mean: [0.485, 0.456, 0.406], rows }
    }
}

fn always() -> f64 {
    1.0
}

fn unscaled() -> (f64, f64) {
    (1.0, 1.0)
}
