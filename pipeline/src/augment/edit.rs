//! Operations whose parameters are drawn.

use serde::{Deserialize, Serialize};

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

/// An operation whose parameters are drawn. All are bit-identical to those of Pillow and torchvision.
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
    /// Crops a rectangle, which must lie within the image, and resizes it with an antialiased bicubic filter.
    ResizedCrop {
        /// The rectangle.
        crop: Crop,
        /// The width after resizing, in pixels.
        width: u32,
        /// The height after resizing, in pixels.
        height: u32,
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
}

impl Edit {
    /// Makes the edit that resizes a whole image.
    pub fn resize(image: &Rgb, width: u32, height: u32) -> Self {
        let crop = Crop { top: 0, left: 0, height: image.height, width: image.width };
        Self::ResizedCrop { crop, width, height }
    }

    /// Returns whether the edit only changes colours.
    pub(super) fn is_colour(&self) -> bool {
        match self {
            Self::Flip | Self::Translate { .. } | Self::Crop(_) | Self::ResizedCrop { .. } => false,
            Self::Brightness(_)
            | Self::Contrast(_)
            | Self::Saturation(_)
            | Self::Hue(_)
            | Self::Grayscale => true,
        }
    }
}
