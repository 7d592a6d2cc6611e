//! Operations whose parameters are drawn.

use serde::{Deserialize, Serialize};

use super::{filter::Filter, op::Components};
use crate::Rgb;

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// The number of rows above it.
    pub top: u32,
    /// The number of columns to the left of it.
    pub left: u32,
    /// The number of its rows.
    pub height: u32,
    /// The number of its columns.
    pub width: u32,
}

/// An operation whose parameters are drawn. All are bit-identical to those of Pillow and torchvision, except
/// those of Exemplar-CNN: these compute floats from 0 to 1, which are rounded to 8 bits before another
/// operation, and at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Mirrors the image horizontally.
    Flip,
    /// Moves the content to the right and down; the uncovered border is reflected without repeating the edge.
    Translate {
        /// Pixels to the right.
        dx: i32,
        /// Pixels down.
        dy: i32,
    },
    /// Crops a rectangle, which must lie within the image.
    Crop(Crop),
    /// Crops a rectangle, which must lie within the image, and resizes it with an antialiased filter.
    ResizedCrop {
        /// The rectangle.
        crop: Crop,
        /// The width after resizing, in pixels.
        width: u32,
        /// The height after resizing, in pixels.
        height: u32,
        /// The filter.
        #[serde(default)]
        filter: Filter,
    },
    /// Samples a window of the image.
    Sample(Window),
    /// Samples a window about the seed of the image, which is a square of `seed` pixels.
    SeedPatch {
        /// The side of the seed in pixels; the image is at least as large.
        seed: u32,
        /// The seed's place: the share of the squared gradients of all places that comes before it, 0 to 1.
        place: f64,
        /// The window, relative to the seed's middle instead of the image's corner.
        window: Window,
    },
    /// Blends the image with black, which gets 1 − factor.
    Brightness(f32),
    /// Blends the image with its mean gray, which gets 1 − factor.
    Contrast(f32),
    /// Blends each pixel with its gray, which gets 1 − factor.
    Saturation(f32),
    /// Turns the hue by a share of the colour circle, −½ to ½.
    Hue(f64),
    /// Replaces each pixel by its gray, in all three channels.
    Grayscale,
    /// Inverts all values from this one on.
    Solarize(u8),
    /// Blurs the image by Pillow's Gaussian blur of this standard deviation in pixels, up to 128.
    Blur(f64),
    /// Multiplies the projections of colours on their principal components.
    PcaContrast {
        /// The factor of each component.
        factors: [f64; 3],
        /// The components.
        colours: Components,
    },
    /// Changes saturation and value of HSV, each by a curve, and turns the hue.
    HsvContrast {
        /// The change of saturations.
        saturation: Curve,
        /// The change of values.
        value: Curve,
        /// The turn of the hue, in colour circles.
        hue: f64,
    },
}

/// A rectangle of an image, scaled and rotated, whose pixels are sampled bilinearly. The image is continued
/// by mirroring, without repeating its edges.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The middle, in pixels from the left edge of the image.
    pub x: f64,
    /// The middle, in pixels from the upper edge of the image.
    pub y: f64,
    /// The distance of neighbouring samples, in pixels.
    pub scale: f64,
    /// The rotation, in degrees.
    pub degrees: f64,
    /// The number of samples in a row.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
}

/// A change of values from 0 to 1: `value^power · factor + shift`, clipped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The power, above 0.
    pub power: f64,
    /// The factor.
    pub factor: f64,
    /// The shift.
    pub shift: f64,
}

impl Edit {
    /// Makes the edit that resizes a whole image.
    pub fn resize(image: &Rgb, width: u32, height: u32) -> Self {
        let crop = Crop { top: 0, left: 0, height: image.height, width: image.width };
        Self::ResizedCrop { crop, width, height, filter: Filter::Bicubic }
    }

    /// Returns whether the edit changes the colour of each pixel in 8 bits and depends on no other pixels,
    /// except by their mean.
    pub(super) fn is_colour(&self) -> bool {
        matches!(
            self,
            Self::Brightness(_)
                | Self::Contrast(_)
                | Self::Saturation(_)
                | Self::Hue(_)
                | Self::Grayscale
                | Self::Solarize(_)
        )
    }

    /// Returns whether mirroring before the edit and mirroring after it are the same, to the bit.
    pub(super) fn is_symmetric(&self) -> bool {
        self.is_colour()
            || matches!(
                self,
                Self::Flip | Self::Blur(_) | Self::PcaContrast { .. } | Self::HsvContrast { .. }
            )
    }
}
