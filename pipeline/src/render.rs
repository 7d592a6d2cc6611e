//! From an encoded image to its views.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Augmenter, Cpu, Decoder, Error, Orientation, Recipe, Result, Rgb, SampleSeed, augment::Need,
    decode::EncodedImage, image::PixelPairs,
};

/// How exactly JPEGs are decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecodeMode {
    /// Views are those of libjpeg-turbo and Pillow, to the bit.
    #[default]
    Exact,
    /// Luma and chroma are resized as the file holds them, with 14-bit weights, and become colours afterwards: faster, and
    /// apart from the exact views where colours are cut off or rounded in between (`docs/exactness.md`).
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

/// Renders the views of encoded images by one recipe, keeping its memory.
///
/// Of a JPEG it decodes only what the views show. Others, and JPEGs of rare kinds, are decoded as a whole.
#[derive(Debug)]
pub struct Renderer {
    decoder: Decoder,
    augmenter: Augmenter,
    mode: DecodeMode,
    image: Rgb,
    pairs: PixelPairs,
}

impl Renderer {
    /// A renderer that refuses images of more than `max_pixels`.
    pub fn new(recipe: Recipe, mode: DecodeMode, max_pixels: u64) -> Result<Self> {
        Self::on(Cpu::default(), recipe, mode, max_pixels)
    }

    /// A renderer that uses these instructions. Libraries choose by themselves.
    pub fn on(cpu: Cpu, recipe: Recipe, mode: DecodeMode, max_pixels: u64) -> Result<Self> {
        Ok(Self {
            decoder: Decoder::on(cpu, max_pixels),
            augmenter: Augmenter::on(cpu, recipe),
            mode,
            image: Rgb::default(),
            pairs: PixelPairs::new(cpu),
        })
    }

    /// Draws what the views of an image show, and decodes that much of it.
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

    /// Renders the views of the image that was decoded last into `views`, one after the other.
    ///
    /// # Panics
    /// If `views` has another length than [`Recipe::bytes`].
    pub fn render(&mut self, views: &mut [u8]) {
        self.augmenter.render_planned(&self.pairs, views);
    }

    /// Whether the image is one that our own decoder takes; then it has been decoded.
    fn decode_region(&mut self, image: &EncodedImage, seed: SampleSeed) -> Result<bool> {
        let Some(header) = image.jpeg() else { return Ok(false) };
        // Those that must be turned are rare.
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
