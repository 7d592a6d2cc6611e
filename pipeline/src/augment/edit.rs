//! Operations with their parameters drawn.

use serde::{Deserialize, Serialize};

use crate::Rgb;

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Rows above it.
    pub top: u32,
    /// Columns to the left of it.
    pub left: u32,
    /// Its rows.
    pub height: u32,
    /// Its columns.
    pub width: u32,
}

/// An operation with its parameters drawn. All agree with Pillow and torchvision to the bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Left becomes right.
    Flip,
    /// Moves the content to the right and down; the uncovered border is reflected, its edge not repeated.
    Translate {
        /// Pixels to the right.
        dx: i32,
        /// Pixels down.
        dy: i32,
    },
    /// Cuts out a rectangle, which must lie within the image.
    Crop(Crop),
    /// Cuts out a rectangle, which must lie within the image, and resizes it: bicubic, antialiased.
    ResizedCrop {
        /// The rectangle.
        crop: Crop,
        /// Width afterwards.
        width: u32,
        /// Height afterwards.
        height: u32,
    },
    /// This much of the image, the rest black.
    Brightness(f32),
    /// This much of the image, the rest its mean gray.
    Contrast(f32),
    /// This much of each pixel, the rest its gray.
    Saturation(f32),
    /// Turns of the colour circle, −½ to ½.
    Hue(f64),
    /// Gray in all three channels.
    Grayscale,
}

impl Edit {
    /// Resizes the whole of an image.
    pub fn resize(image: &Rgb, width: u32, height: u32) -> Self {
        let crop = Crop { top: 0, left: 0, height: image.height, width: image.width };
        Self::ResizedCrop { crop, width, height }
    }

    /// Whether it changes colours and nothing else.
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
