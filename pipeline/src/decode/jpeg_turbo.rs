//! JPEG by libjpeg-turbo.

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat};

use crate::{Error, Result, Rgb};

use super::limit::Limit;

/// More scans than a progressive JPEG has use for; each costs the time of a whole image.
const MAX_SCANS: u32 = 500;

/// Decodes JPEGs, keeping its memory.
#[derive(Debug)]
pub(super) struct JpegTurbo {
    decompressor: Decompressor,
    cmyk: Vec<u8>,
}

impl JpegTurbo {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { decompressor: decompressor()?, cmyk: Vec::new() })
    }

    pub(super) fn decode(&mut self, bytes: &[u8], limit: Limit, image: &mut Rgb) -> Result<()> {
        // A new one for each image: libjpeg-turbo keeps the tables of the one before, by which one that lacks its own would
        // be decoded, and after damage may still be inside of its header.
        self.decompressor = decompressor()?;
        let header = self.decompressor.read_header(bytes).map_err(Error::Jpeg)?;
        let (width, height) = (header.width as u32, header.height as u32);
        limit.check(width, height)?;
        image.reshape(width, height);
        if !matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
            return self.decompress(bytes, &mut image.pixels, PixelFormat::RGB, &header);
        }
        let mut cmyk = std::mem::take(&mut self.cmyk);
        cmyk.resize(4 * header.width * header.height, 0);
        self.decompress(bytes, &mut cmyk, PixelFormat::CMYK, &header)?;
        inverted_cmyk_to_rgb(&cmyk, &mut image.pixels);
        self.cmyk = cmyk;
        Ok(())
    }

    fn decompress(
        &mut self,
        bytes: &[u8],
        pixels: &mut [u8],
        format: PixelFormat,
        header: &DecompressHeader,
    ) -> Result<()> {
        let (width, height) = (header.width, header.height);
        let image = Image { pixels, width, pitch: width * format.size(), height, format };
        self.decompressor.decompress(bytes, image).map_err(Error::Jpeg)
    }
}

fn decompressor() -> Result<Decompressor> {
    let mut decompressor = Decompressor::new().map_err(Error::Jpeg)?;
    decompressor.set_scan_limit(MAX_SCANS).map_err(Error::Jpeg)?;
    Ok(decompressor)
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
