//! Renders the views of encoded images.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Augmenter, Cpu, Decoder, Error, Orientation, Recipe, Result, Rgb, SampleSeed, augment::Need,
    decode::EncodedImage, image::PixelPairs,
};

/// The exactness with which JPEGs are decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecodeMode {
    /// Views are bit-identical to those of libjpeg-turbo and Pillow.
    #[default]
    Exact,
    /// Luma and chroma are resized as stored, with 14-bit weights, and converted to RGB afterwards. This is
    /// faster, and differs from the exact views where colours are clipped or rounded in between
    /// (`docs/exactness.md`).
    Fast,
}

impl fmt::Display for DecodeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        })
    }
}

impl FromStr for DecodeMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "exact" => Ok(Self::Exact),
            "fast" => Ok(Self::Fast),
            _ => Err(Error::DecodeMode { name: name.to_owned() }),
        }
    }
}

/// Renders the views of encoded images by one recipe, reusing its memory.
///
/// It decodes only the region of a JPEG that the views show. Other formats, and rare kinds of JPEG, are
/// decoded entirely.
#[derive(Debug)]
pub struct Renderer {
    decoder: Decoder,
    augmenter: Augmenter,
    mode: DecodeMode,
    image: Rgb,
    pairs: PixelPairs,
}

impl Renderer {
    /// Makes a renderer that refuses images of more than `max_pixels` pixels.
    pub fn new(recipe: Recipe, mode: DecodeMode, max_pixels: u64) -> Self {
        Self::on(Cpu::default(), recipe, mode, max_pixels)
    }

    /// Makes a renderer that uses this instruction set; [`new`](Self::new) takes the best one. Foreign
    /// libraries choose their own.
    pub fn on(cpu: Cpu, recipe: Recipe, mode: DecodeMode, max_pixels: u64) -> Self {
        Self {
            decoder: Decoder::on(cpu, max_pixels),
            augmenter: Augmenter::on(cpu, recipe),
            mode,
            image: Rgb::default(),
            pairs: PixelPairs::new(cpu),
        }
    }

    /// Draws the views' randomness, and decodes the region of the image that they show.
    ///
    /// # Errors
    /// The image is damaged, unsupported, too large, or too thin for the recipe.
    pub fn decode(&mut self, bytes: &[u8], seed: SampleSeed) -> Result<()> {
        let image = EncodedImage::new(bytes);
        if self.decode_region(&image, seed)? {
            return Ok(());
        }
        self.decoder.decode_whole(&image, &mut self.image)?;
        self.augmenter.plan(seed, self.image.width, self.image.height)?;
        self.pairs.load_rgb(&self.image);
        Ok(())
    }

    /// Renders the views of the last decoded image into `views`, one after the other: (side, side, 3) bytes
    /// for each.
    ///
    /// # Panics
    /// If the length of `views` is not [`Recipe::bytes`].
    pub fn render(&mut self, views: &mut [u8]) {
        self.augmenter.render_planned(&self.pairs, views);
    }

    /// Decodes the image with our own JPEG decoder. Returns `false`, without decoding, if it does not support
    /// the image.
    fn decode_region(&mut self, image: &EncodedImage, seed: SampleSeed) -> Result<bool> {
        let Some(header) = image.jpeg() else { return Ok(false) };
        // Images that must be turned are rare.
        if self.decoder.header_of(image)?.orientation != Orientation::Upright {
            return Ok(false);
        }
        let need = self.augmenter.plan(seed, header.width, header.height)?;
        let region = if let Need::Crops(region) = need { region } else { header.whole() };
        let Some(planes) = self.decoder.decode_region(header, region) else { return Ok(false) };
        match (self.mode, need) {
            (DecodeMode::Fast, Need::Crops(_)) => self.pairs.load_ycc(planes, region),
            _ => self.pairs.load_ycc_as_rgb(planes, region),
        }
        Ok(true)
    }
}
