//! Applies edits to images.

use super::{color, edit::Edit, geometry, resize::Resizer};
use crate::{
    Cpu,
    image::{PixelPairs, Rgb, RgbPlanes},
};

/// Applies edits one after the other, and returns the result.
pub fn edit(image: &Rgb, edits: &[Edit]) -> Rgb {
    let mut edited = Rgb::default();
    Editor::default().edit(image, edits, &mut edited);
    edited
}

/// Resizes an image to `width`×`height` pixels with Pillow's antialiased bicubic filter.
pub fn resize(image: &Rgb, width: u32, height: u32) -> Rgb {
    edit(image, &[Edit::resize(image, width, height)])
}

/// Applies edits to images, reusing its memory.
#[derive(Debug, Default)]
pub struct Editor {
    cpu: Cpu,
    resizer: Resizer,
    image: RgbPlanes,
    spare: RgbPlanes,
    interleaved: Rgb,
    pixels: PixelPairs,
}

impl Editor {
    /// Makes an editor that uses this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, resizer: Resizer::new(cpu), pixels: PixelPairs::new(cpu), ..Self::default() }
    }

    /// Applies `edits` one after the other; the result replaces `edited`, whose memory is reused.
    pub fn edit(&mut self, image: &Rgb, edits: &[Edit], edited: &mut Rgb) {
        let cpu = self.cpu;
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.load_rgb(image);
        self.run(&pixels, false, edits).store_image(cpu, edited);
        self.pixels = pixels;
    }

    /// Applies `edits` to an image, or with `mirrored` to its mirror image.
    ///
    /// Unless the first edit is a crop with resizing, `image` must be whole, in red, green and blue.
    pub(crate) fn run(&mut self, image: &PixelPairs, mirrored: bool, edits: &[Edit]) -> &RgbPlanes {
        // Most recipes begin with such a crop, which reads the source directly, mirrored or not.
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
            | Edit::Grayscale => unreachable!("colour edits are applied together, by `color::adjust`"),
        }
    }
}
