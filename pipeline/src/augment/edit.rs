//! Single operations with given parameters, and who carries them out.

use serde::{Deserialize, Serialize};

use crate::{Cpu, Rgb, pixels::Pixels};

use super::{color, geometry, planes::Planes, resize::Resizer};

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
    fn is_colour(&self) -> bool {
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

/// Carries out edits one after the other.
pub fn edit(image: &Rgb, edits: &[Edit]) -> Rgb {
    let mut edited = Rgb::default();
    Editor::default().edit(image, edits, &mut edited);
    edited
}

/// Resizes with Pillow's antialiased bicubic filter.
pub fn resize(image: &Rgb, width: u32, height: u32) -> Rgb {
    edit(image, &[Edit::resize(image, width, height)])
}

/// Carries out edits, keeping its memory.
#[derive(Debug, Default)]
pub struct Editor {
    cpu: Cpu,
    resizer: Resizer,
    image: Planes,
    spare: Planes,
    interleaved: Rgb,
    pixels: Pixels,
}

impl Editor {
    /// An editor that uses these instructions.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, resizer: Resizer::new(cpu), pixels: Pixels::new(cpu), ..Self::default() }
    }

    /// Carries out `edits` one after the other; the result goes into `edited`, whose memory is reused.
    pub fn edit(&mut self, image: &Rgb, edits: &[Edit], edited: &mut Rgb) {
        let cpu = self.cpu;
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.load_rgb(image);
        self.run(&pixels, false, edits).store_image(cpu, edited);
        self.pixels = pixels;
    }

    /// The image after all `edits`; with `mirrored` they are done to its mirror image.
    ///
    /// Where the first edit is no crop with resizing, the image must be there as a whole, in red, green and blue.
    pub(crate) fn run(&mut self, image: &Pixels, mirrored: bool, edits: &[Edit]) -> &Planes {
        // Most recipes begin with a crop: it reads the source itself, mirrored or not.
        let rest = if let [Edit::ResizedCrop { crop, width, height }, rest @ ..] = edits {
            self.image.reshape(*width as usize, *height as usize);
            self.resizer.resize(image, mirrored, *crop, &mut self.image);
            rest
        } else {
            self.image.load(image, mirrored);
            edits
        };
        for edits in rest.chunk_by(|a, b| a.is_colour() && b.is_colour()) {
            if edits[0].is_colour() {
                color::adjust(self.cpu, &mut self.image, edits);
            } else {
                self.move_pixels(edits[0]);
            }
        }
        &self.image
    }

    fn move_pixels(&mut self, edit: Edit) {
        let image = &mut self.image;
        match edit {
            Edit::Flip => geometry::mirror(image),
            Edit::Translate { dx, dy } => {
                geometry::translate(image, dx, dy, &mut self.spare);
                std::mem::swap(image, &mut self.spare);
            }
            Edit::Crop(crop) => {
                geometry::crop(image, crop, &mut self.spare);
                std::mem::swap(image, &mut self.spare);
            }
            Edit::ResizedCrop { crop, width, height } => {
                image.store_image(self.cpu, &mut self.interleaved);
                self.pixels.load_rgb(&self.interleaved);
                image.reshape(width as usize, height as usize);
                self.resizer.resize(&self.pixels, false, crop, image);
            }
            Edit::Brightness(_)
            | Edit::Contrast(_)
            | Edit::Saturation(_)
            | Edit::Hue(_)
            | Edit::Grayscale => unreachable!("colours are adjusted together"),
        }
    }
}
