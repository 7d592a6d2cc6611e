//! The decoder of all formats: it chooses the decoder of a file's format.

use super::{
    encoded_image::EncodedImage, header::Header, jpeg, libjpeg::Libjpeg, limit::Limit, oddity::Oddities,
    orientation::Orientation, png::Png, webp,
};
use crate::{
    Cpu, Error, FileFormat, Result,
    image::{Region, Rgb, YccPlanes},
};

/// Decodes one image to upright RGB. Its size is checked against `max_pixels` before memory is allocated.
///
/// # Errors
/// The bytes are of another format, damaged, unsupported, or too large.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb> {
    let mut image = Rgb::default();
    Decoder::new(max_pixels).decode(bytes, &mut image)?;
    Ok(image)
}

/// Decodes images one after the other, reusing its memory.
#[derive(Debug)]
pub struct Decoder {
    /// The decoder of common JPEGs; what it refuses is left to libjpeg-turbo.
    jpeg: jpeg::Decoder,
    libjpeg: Libjpeg,
    png: Png,
    oddities: Oddities,
    /// Scratch for an image before it is turned upright.
    spare: Rgb,
    limit: Limit,
}

impl Decoder {
    /// Makes a decoder that refuses images of more than `max_pixels` pixels.
    pub fn new(max_pixels: u64) -> Self {
        Self::on(Cpu::default(), max_pixels)
    }

    /// Makes a decoder that uses this instruction set. Foreign libraries choose their own.
    pub(crate) fn on(cpu: Cpu, max_pixels: u64) -> Self {
        Self {
            jpeg: jpeg::Decoder::new(cpu),
            libjpeg: Libjpeg::default(),
            png: Png::default(),
            oddities: Oddities::default(),
            spare: Rgb::default(),
            limit: Limit { max_pixels },
        }
    }

    /// Reads size and orientation of an image, without its pixels, in about a microsecond.
    ///
    /// # Errors
    /// The header is damaged, or [`decode`](Self::decode) would refuse the image for its format or size.
    pub fn header(&self, bytes: &[u8]) -> Result<Header> {
        self.header_of(&EncodedImage::new(bytes))
    }

    /// Reads size and orientation of an image whose segments have been read.
    pub(crate) fn header_of(&self, image: &EncodedImage) -> Result<Header> {
        let header = image.header()?;
        self.limit.check(header.width, header.height)?;
        Ok(header)
    }

    /// Decodes `bytes` into `image`, upright; its memory is reused. After an error its content is undefined.
    ///
    /// # Errors
    /// The bytes are of another format, damaged, unsupported, or too large.
    pub fn decode(&mut self, bytes: &[u8], image: &mut Rgb) -> Result<()> {
        self.decode_whole(&EncodedImage::new(bytes), image)
    }

    /// Decodes a whole image whose segments have been read.
    pub(crate) fn decode_whole(&mut self, image: &EncodedImage, pixels: &mut Rgb) -> Result<()> {
        let bytes = image.bytes();
        self.oddities = match image.format() {
            FileFormat::Jpeg => self.libjpeg.decode(bytes, self.limit, pixels),
            FileFormat::Png => self.png.decode(bytes, self.limit, pixels),
            FileFormat::WebP => webp::decode(bytes, self.limit, pixels).map(|()| Oddities::default()),
            FileFormat::Empty => Err(Error::NoImage),
            other => Err(Error::Format(other)),
        }?;
        let orientation = image.header().map_or(Orientation::Upright, |header| header.orientation);
        orientation.turn(pixels, &mut self.spare);
        Ok(())
    }

    /// Decodes a region of a JPEG as stored; `None` if our own decoder refuses the file.
    pub(crate) fn decode_region(&mut self, header: &jpeg::Header, region: Region) -> Option<&YccPlanes> {
        self.jpeg.decode(header, region).ok()
    }

    /// Returns the oddities of the image decoded last; undefined after an error.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }
}
