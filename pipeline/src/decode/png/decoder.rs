//! Decodes the pixels of a PNG.

use std::io::Cursor;

use ::png::{ColorType, Limits, Transformations};

use crate::{Error, Result, Rgb};

use super::chunks::Chunks;
use crate::decode::{
    limit::Limit,
    oddity::{Oddities, Oddity},
};

/// The most bytes that the library may allocate for chunks other than pixels.
const MAX_BYTES: usize = 16 << 20;

/// Decodes PNGs, reusing its memory.
#[derive(Debug, Default)]
pub(in crate::decode) struct Png {
    /// Scratch for pixels that are not RGB yet.
    scratch: Vec<u8>,
}

impl Png {
    /// Decodes a PNG, and returns its oddities.
    pub(in crate::decode) fn decode(
        &mut self,
        bytes: &[u8],
        limit: Limit,
        image: &mut Rgb,
    ) -> Result<Oddities> {
        match with_end(bytes) {
            None => self.decode_whole(bytes, limit, image).map(|()| Oddities::default()),
            Some(whole) => self.decode_whole(&whole, limit, image).map(|()| Oddity::NoEnd.into()),
        }
    }

    fn decode_whole(&mut self, bytes: &[u8], limit: Limit, image: &mut Rgb) -> Result<()> {
        let mut decoder = ::png::Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_BYTES });
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let info = decoder.read_header_info().map_err(Error::Png)?;
        let (width, height) = (info.width, info.height);
        limit.check(width, height)?;
        let mut reader = decoder.read_info().map_err(Error::Png)?;
        check_palette(reader.info())?;
        image.reshape(width, height);
        let color = reader.output_color_type().0;
        let pixels = if color == ColorType::Rgb {
            &mut image.pixels
        } else {
            self.scratch.resize(color.samples() * image.pixels.len() / 3, 0);
            &mut self.scratch
        };
        let frame = reader.next_frame(pixels).map_err(Error::Png)?;
        if (frame.width, frame.height) != (width, height) {
            return Err(Error::Damaged { format: "PNG", reason: "its first frame is not the whole image" });
        }
        match color {
            ColorType::Rgb => {}
            ColorType::Rgba => convert(&self.scratch, image, |[r, g, b, _]: [u8; 4]| [r, g, b]),
            ColorType::GrayscaleAlpha => convert(&self.scratch, image, |[gray, _]: [u8; 2]| [gray; 3]),
            ColorType::Grayscale => convert(&self.scratch, image, |[gray]: [u8; 1]| [gray; 3]),
            ColorType::Indexed => unreachable!("palettes have been expanded"),
        }
        Ok(())
    }
}

/// Completes a PNG without an end: its complete chunks, and an end. The decoder checks whether its pixels are
/// complete. Returns `None` if there is an end.
fn with_end(bytes: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";
    let signature = bytes.get(..8)?;
    let mut whole = signature.len();
    for (name, data) in Chunks::new(&bytes[whole..]) {
        if name == b"IEND" {
            return None;
        }
        let end = whole + 8 + data.len() + 4;
        whole = if end <= bytes.len() { end } else { whole };
    }
    Some([&bytes[..whole], END].concat())
}

/// Refuses palettes for which `png` would panic.
fn check_palette(info: &::png::Info<'_>) -> Result<()> {
    let bytes = info.palette.as_ref().map_or(0, |palette| palette.len());
    if info.color_type == ColorType::Indexed && (bytes > 3 * 256 || !bytes.is_multiple_of(3)) {
        return Err(Error::Damaged {
            format: "PNG",
            reason: "its palette does not consist of 256 whole colours at most",
        });
    }
    Ok(())
}

fn convert<const N: usize>(pixels: &[u8], image: &mut Rgb, rgb: impl Fn([u8; N]) -> [u8; 3]) {
    for (to, from) in image.pixels.as_chunks_mut().0.iter_mut().zip(pixels.as_chunks().0) {
        *to = rgb(*from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a PNG of one pixel with a palette of this many bytes.
    fn indexed(palette: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, 1, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(vec![7; palette]);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        bytes
    }

    #[test]
    fn a_palette_of_impossible_length_is_damage() {
        let decode = |palette: usize| crate::decode(&indexed(palette), 100);
        for palette in [3, 6, 768] {
            assert_eq!(decode(palette).unwrap().pixels, [7; 3], "{palette} bytes");
        }
        for palette in [1, 4, 28, 767, 769, 771, 3000] {
            assert!(decode(palette).is_err(), "{palette} bytes");
        }
    }
}
