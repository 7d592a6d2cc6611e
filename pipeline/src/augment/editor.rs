//! Carries out operations.

use super::{color, edit::Edit, geometry, resize::Resizer};
use crate::{
    Cpu,
    image::{PixelPairs, Rgb, RgbPlanes},
};

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
    image: RgbPlanes,
    spare: RgbPlanes,
    interleaved: Rgb,
    pixels: PixelPairs,
}

impl Editor {
    /// An editor that uses these instructions.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, resizer: Resizer::new(cpu), pixels: PixelPairs::new(cpu), ..Self::default() }
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
    pub(crate) fn run(&mut self, image: &PixelPairs, mirrored: bool, edits: &[Edit]) -> &RgbPlanes {
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
