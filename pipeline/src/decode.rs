//! Encoded bytes → RGB pixels; which decoder takes which file.
//!
//! JPEGs go to libjpeg-turbo, PNGs to `image`. The format is told from the first bytes: names lie. Pixels are those of
//! Pillow's `convert("RGB")`: alpha is dropped, grayscale is replicated, palettes are looked up, of 16 bits the upper
//! eight count, and CMYK is taken to be inverted, as Adobe writes it. Files cut short are errors, not gray pixels.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, codecs::png::PngDecoder};
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

use crate::{Error, Result, Rgb};

/// More scans than a progressive JPEG has use for; each costs the time of a whole image.
const MAX_SCANS: u32 = 500;

/// The longest side of a JPEG, and more than a PNG needs.
const MAX_SIDE: u64 = 65_535;

/// Decodes one image. `max_pixels` is checked against the header, before memory is taken.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb> {
    let mut image = Rgb::default();
    Decoder::new(max_pixels)?.decode(bytes, &mut image)?;
    Ok(image)
}

/// Decodes images one after the other, keeping its memory.
#[derive(Debug)]
pub struct Decoder {
    jpeg: Decompressor,
    /// Whether the last JPEG was damaged.
    jpeg_failed: bool,
    cmyk: Vec<u8>,
    max_pixels: u64,
}

impl Decoder {
    /// A decoder that refuses images of more than `max_pixels`.
    pub fn new(max_pixels: u64) -> Result<Self> {
        Ok(Self { jpeg: decompressor()?, jpeg_failed: false, cmyk: Vec::new(), max_pixels })
    }

    /// Decodes `bytes` into `image`, whose memory is reused. After an error `image` holds anything.
    pub fn decode(&mut self, bytes: &[u8], image: &mut Rgb) -> Result<()> {
        match bytes {
            [] => Err(Error::NoImage),
            [0xFF, 0xD8, ..] => self.decode_jpeg(bytes, image).inspect_err(|_| self.jpeg_failed = true),
            [0x89, b'P', b'N', b'G', ..] => self.decode_png(bytes, image),
            _ => Err(Error::Format),
        }
    }

    fn decode_jpeg(&mut self, bytes: &[u8], image: &mut Rgb) -> Result<()> {
        if self.jpeg_failed {
            // libjpeg-turbo may still be inside the header of the damaged image, and would go on from there.
            self.jpeg = decompressor()?;
            self.jpeg_failed = false;
        }
        let header = self.jpeg.read_header(bytes).map_err(Error::Jpeg)?;
        self.check(header.width as u64, header.height as u64)?;
        image.reshape(header.width as u32, header.height as u32);
        if !matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
            let pitch = image.stride();
            return self.decompress(bytes, &mut image.pixels, pitch, PixelFormat::RGB, header);
        }
        let mut cmyk = std::mem::take(&mut self.cmyk);
        cmyk.resize(4 * header.width * header.height, 0);
        self.decompress(bytes, &mut cmyk, 4 * header.width, PixelFormat::CMYK, header)?;
        inverted_cmyk_to_rgb(&cmyk, &mut image.pixels);
        self.cmyk = cmyk;
        Ok(())
    }

    fn decompress(
        &mut self,
        bytes: &[u8],
        pixels: &mut [u8],
        pitch: usize,
        format: PixelFormat,
        header: turbojpeg::DecompressHeader,
    ) -> Result<()> {
        let (width, height) = (header.width, header.height);
        self.jpeg.decompress(bytes, Image { pixels, width, pitch, height, format }).map_err(Error::Jpeg)
    }

    fn decode_png(&self, bytes: &[u8], image: &mut Rgb) -> Result<()> {
        let decoder = PngDecoder::new(Cursor::new(bytes)).map_err(Error::Png)?;
        let (width, height) = decoder.dimensions();
        self.check(width.into(), height.into())?;
        let decoded = DynamicImage::from_decoder(decoder).map_err(Error::Png)?;
        *image = Rgb { width, height, pixels: rgb_of(decoded) };
        Ok(())
    }

    pub(crate) fn check(&self, width: u64, height: u64) -> Result<()> {
        let limit = self.max_pixels;
        if width.max(height) > MAX_SIDE || width * height > limit {
            return Err(Error::TooLarge { width, height, limit });
        }
        Ok(())
    }
}

fn decompressor() -> Result<Decompressor> {
    let mut jpeg = Decompressor::new().map_err(Error::Jpeg)?;
    jpeg.set_scan_limit(MAX_SCANS).map_err(Error::Jpeg)?;
    Ok(jpeg)
}

/// Pillow's CMYK → RGB, on values stored inverted: each ink lets through `c·k / 255`, rounded as Pillow rounds.
fn inverted_cmyk_to_rgb(cmyk: &[u8], rgb: &mut [u8]) {
    for (inks, pixel) in cmyk.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<3>().0) {
        let light = u32::from(inks[3]);
        *pixel = [0, 1, 2].map(|i| {
            let product = u32::from(255 - inks[i]) * light + 128;
            (light - (((product >> 8) + product) >> 8)) as u8
        });
    }
}

/// The RGB bytes of a PNG of any colour type.
fn rgb_of(image: DynamicImage) -> Vec<u8> {
    let upper = |value: u16| (value >> 8) as u8;
    match image {
        DynamicImage::ImageLuma16(gray) => gray.pixels().flat_map(|p| [upper(p.0[0]); 3]).collect(),
        DynamicImage::ImageLumaA16(gray) => gray.pixels().flat_map(|p| [upper(p.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(rgb) => rgb.pixels().flat_map(|p| p.0.map(upper)).collect(),
        DynamicImage::ImageRgba16(rgba) => {
            rgba.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(upper)).collect()
        }
        eight_bits => eight_bits.into_rgb8().into_raw(),
    }
}
