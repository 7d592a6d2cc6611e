//! Applies edits to images.

use super::{
    blur::Blur,
    color, contrast,
    edit::{Edit, Window},
    geometry,
    resize::{Resizer, Resizing},
    sampling,
    seed::SeedFinder,
};
use crate::{
    Cpu,
    image::{FloatPlanes, PixelPairs, Rgb, RgbPlanes},
};

/// Applies edits one after the other, and returns the result.
pub fn edit(image: &Rgb, edits: &[Edit]) -> Rgb {
    let mut edited = Rgb::default();
    Editor::default().edit(image, edits, &mut edited);
    edited
}

/// Applies edits as [`edit`] does, but leaves out the last rounding, which follows edits that compute floats.
/// Returns the three planes one after the other, as floats from 0 to 1: (3, height, width).
pub fn edit_unrounded(image: &Rgb, edits: &[Edit]) -> Vec<f64> {
    let mut editor = Editor::default();
    let mut pixels = PixelPairs::default();
    pixels.load_rgb(image);
    editor.apply(&pixels, false, edits);
    editor.floats().pixels.clone()
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
    blur: Blur,
    seeds: SeedFinder,
    image: RgbPlanes,
    /// The image instead of `image`, if `is_float`.
    floats: FloatPlanes,
    is_float: bool,
    spare: RgbPlanes,
    interleaved: Rgb,
    pixels: PixelPairs,
}

impl Editor {
    /// Makes an editor that uses this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self {
            cpu,
            resizer: Resizer::new(cpu),
            blur: Blur::new(cpu),
            seeds: SeedFinder::new(cpu),
            pixels: PixelPairs::new(cpu),
            ..Self::default()
        }
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
        self.apply(image, mirrored, edits);
        self.bytes()
    }

    fn apply(&mut self, image: &PixelPairs, mirrored: bool, edits: &[Edit]) {
        self.is_float = false;
        // Most recipes begin with such a crop, which reads the source directly, mirrored or not.
        let (mut flips, rest) = if let [Edit::ResizedCrop { crop, width, height, filter }, rest @ ..] = edits
        {
            let flips = early_flips(rest);
            let (crop, filter, is_mirrored) = (*crop, *filter, flips % 2 == 1);
            self.image.reshape(*width as usize, *height as usize);
            let view = Resizing { crop, filter, from_mirrored: mirrored, is_mirrored };
            self.resizer.resize(image, view, &mut self.image);
            (flips, rest)
        } else {
            self.image.load(image, mirrored);
            (0, edits)
        };
        for edits in rest.chunk_by(|a, b| a.is_colour() && b.is_colour()) {
            match edits[0] {
                Edit::Flip if flips > 0 => flips -= 1,
                edit if edit.is_colour() => color::adjust(self.cpu, self.bytes(), edits),
                Edit::Blur(sigma) => {
                    self.bytes();
                    self.blur.apply(sigma, &mut self.image);
                }
                edit => self.apply_float(edit),
            }
        }
    }

    /// Applies an edit that computes floats, or moves pixels.
    fn apply_float(&mut self, edit: Edit) {
        match edit {
            Edit::Flip if self.is_float => geometry::mirror(&mut self.floats.pixels, self.floats.width),
            Edit::Sample(window) => self.sample(window),
            Edit::SeedPatch { seed, place, window } => {
                self.bytes();
                let (left, top) = self.seeds.find(&self.image, seed as usize, place);
                let middle = f64::from(seed) / 2.0;
                let (x, y) = (window.x + left as f64 + middle, window.y + top as f64 + middle);
                self.sample(Window { x, y, ..window });
            }
            Edit::PcaContrast { factors, colours } => {
                contrast::scale_components(self.cpu, self.floats(), factors, &colours);
            }
            Edit::HsvContrast { saturation, value, hue } => {
                contrast::change_hsv(self.cpu, self.floats(), saturation, value, hue);
            }
            edit => self.move_pixels(edit),
        }
    }

    fn move_pixels(&mut self, edit: Edit) {
        self.bytes();
        let image = &mut self.image;
        match edit {
            Edit::Flip => geometry::mirror(&mut image.pixels, image.width),
            Edit::Translate { dx, dy } => {
                geometry::translate(image, dx, dy, &mut self.spare);
                std::mem::swap(image, &mut self.spare);
            }
            Edit::Crop(crop) => {
                geometry::crop(image, crop, &mut self.spare);
                std::mem::swap(image, &mut self.spare);
            }
            Edit::ResizedCrop { crop, width, height, filter } => {
                image.store_image(self.cpu, &mut self.interleaved);
                self.pixels.load_rgb(&self.interleaved);
                image.reshape(width as usize, height as usize);
                let view = Resizing { crop, filter, from_mirrored: false, is_mirrored: false };
                self.resizer.resize(&self.pixels, view, image);
            }
            _ => unreachable!("other edits change colours, and are applied by `apply` and `apply_float`"),
        }
    }

    fn sample(&mut self, window: Window) {
        self.bytes();
        sampling::sample(self.cpu, &self.image, window, &mut self.floats);
        self.is_float = true;
    }

    /// Returns the image in 8 bits, rounding it if it is one of floats.
    fn bytes(&mut self) -> &mut RgbPlanes {
        if self.is_float {
            self.floats.store(self.cpu, &mut self.image);
            self.is_float = false;
        }
        &mut self.image
    }

    /// Returns the image as floats.
    fn floats(&mut self) -> &mut FloatPlanes {
        if !self.is_float {
            self.floats.load(self.cpu, &self.image);
            self.is_float = true;
        }
        &mut self.floats
    }
}

/// Counts the flips among the first edits that could as well be done before all of them.
fn early_flips(edits: &[Edit]) -> usize {
    let symmetric = edits.iter().take_while(|edit| edit.is_symmetric());
    symmetric.filter(|edit| **edit == Edit::Flip).count()
}
