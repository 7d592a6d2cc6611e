//! Decides which decoder takes an image.

use super::{
    encoded_image::EncodedImage, header::Header, jpeg, libjpeg::Libjpeg, limit::Limit, oddity::Oddities,
    orientation::Orientation, png::Png, webp,
};
use crate::{
    Cpu, Error, FileFormat, Result,
    image::{Region, Rgb, YccPlanes},
};

/// Decodes one image. `max_pixels` is checked against the header, before memory is taken.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb> {
    let mut image = Rgb::default();
    Decoder::new(max_pixels)?.decode(bytes, &mut image)?;
    Ok(image)
}

/// Decodes images one after the other, keeping its memory.
#[derive(Debug)]
pub struct Decoder {
    /// For the JPEGs that photos come as; what it refuses is left to libjpeg-turbo.
    jpeg: jpeg::Decoder,
    libjpeg: Libjpeg,
    png: Png,
    oddities: Oddities,
    /// An image's pixels before they are turned upright.
    spare: Rgb,
    limit: Limit,
}

impl Decoder {
    /// A decoder that refuses images of more than `max_pixels`.
    pub fn new(max_pixels: u64) -> Result<Self> {
        Ok(Self::on(Cpu::default(), max_pixels))
    }

    /// A decoder that uses these instructions. Libraries choose by themselves.
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

    /// Size and orientation of an image that [`decode`](Self::decode) would not refuse for its size.
    ///
    /// Reads the parts that tell them and no pixels: about a microsecond.
    pub fn header(&self, bytes: &[u8]) -> Result<Header> {
        self.header_of(&EncodedImage::new(bytes))
    }

    /// The same of an image whose segments were read.
    pub(crate) fn header_of(&self, image: &EncodedImage) -> Result<Header> {
        let header = image.header()?;
        self.limit.check(header.width, header.height)?;
        Ok(header)
    }

    /// Decodes `bytes` into `image`, upright, whose memory is reused. After an error `image` holds anything.
    pub fn decode(&mut self, bytes: &[u8], image: &mut Rgb) -> Result<()> {
        self.decode_whole(&EncodedImage::new(bytes), image)
    }

    /// The same of an image whose segments were read.
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

    /// Decodes a part of a JPEG, as it is stored; none where our own decoder does not take the file.
    pub(crate) fn decode_region(&mut self, header: &jpeg::Header, region: Region) -> Option<&YccPlanes> {
        self.jpeg.decode(header, region).ok()
    }

    /// What is odd about the image that was decoded last; of anything where there was an error.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }
}
