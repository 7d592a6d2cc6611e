//! Converts GIF, BMP and TIFF images to PNGs whose pixels are those of Pillow's `convert("RGB")`.
//!
//! Only the first frame of an animation and the first page of a TIFF are converted. A kind of image whose
//! pixels would differ from Pillow's is an error.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder,
    codecs::{
        bmp::BmpDecoder,
        png::{CompressionType, FilterType, PngEncoder},
        tiff::TiffDecoder,
    },
};
use pipeline::{FileFormat, Rgb};
use tiff::tags::Tag;

use crate::error::ConvertError;

/// The result of converting one image.
type Result<T> = std::result::Result<T, ConvertError>;

/// The most pixels of an image that is converted: larger ones are useless for training.
const MAX_PIXELS: u64 = 100_000_000;

/// Returns whether images of this format are packed, unchanged or converted.
pub(super) fn is_packed(format: FileFormat) -> bool {
    format.is_decoded() || is_converted(format)
}

/// Returns whether images of this format can be converted, if their kind allows it.
fn is_converted(format: FileFormat) -> bool {
    matches!(format, FileFormat::Gif | FileFormat::Bmp | FileFormat::Tiff | FileFormat::BigTiff)
}

/// Converts the image to a PNG of 8-bit RGB.
pub(super) fn to_png(format: FileFormat, data: &[u8]) -> Result<Vec<u8>> {
    let image = match format {
        FileFormat::Gif => gif(data)?,
        FileFormat::Bmp => bmp(data)?,
        FileFormat::Tiff | FileFormat::BigTiff => tiff(data)?,
        _ => return Err(ConvertError::Kind("images of this format are not converted")),
    };
    png(&image)
}

/// Encodes an image as PNG.
pub(super) fn png(image: &Rgb) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    PngEncoder::new_with_quality(&mut data, CompressionType::Default, FilterType::Adaptive).write_image(
        &image.pixels,
        image.width,
        image.height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(data)
}

/// Decodes the first frame, on a background of its transparent colour, or else of the first colour in the
/// palette.
fn gif(data: &[u8]) -> Result<Rgb> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(Cursor::new(data))?;
    let screen = [decoder.width(), decoder.height()].map(usize::from);
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame()?.ok_or(ConvertError::Kind("it has no frame"))?;
    let [left, top, wide, high] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
    let (width, height) = (screen[0].max(left + wide), screen[1].max(top + high));
    check_size(width as u64, height as u64)?;
    ensure(wide > 0 && frame.buffer.len() == wide * high, "its first frame is cut short")?;
    let mut indices = vec![frame.transparent.unwrap_or(0); width * height];
    for (row, pixels) in frame.buffer.chunks_exact(wide).enumerate() {
        indices[(top + row) * width + left..][..wide].copy_from_slice(pixels);
    }
    let palette =
        frame.palette.as_ref().or(global.as_ref()).ok_or(ConvertError::Kind("it has no palette"))?;
    let colour = |index: u8| palette.get(3 * usize::from(index)..).and_then(<[u8]>::first_chunk::<3>);
    let pixels = indices.into_iter().flat_map(|index| colour(index).copied().unwrap_or_default()).collect();
    Ok(Rgb { width: width as u32, height: height as u32, pixels })
}

fn bmp(data: &[u8]) -> Result<Rgb> {
    let number = |at: usize| Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?));
    let header = number(14).ok_or(ConvertError::Kind("it is cut short"))?;
    // A header of 12 bytes is that of OS/2, which has no compression.
    let (bits, compression) = match header {
        12 => (number(22).map(|both| both >> 16), Some(0)),
        _ => (number(26).map(|both| both >> 16), number(30)),
    };
    let has_byte_masks = (0..3).all(|mask| number(54 + 4 * mask).is_some_and(|mask| mask.count_ones() == 8));
    match (bits, compression) {
        (Some(1 | 4 | 8 | 24 | 32), Some(0)) => {}
        (Some(32), Some(3)) if has_byte_masks => {}
        (Some(16), _) => return Err(ConvertError::Kind("BMPs of 16 bits a pixel are not converted")),
        _ => return Err(ConvertError::Kind("BMPs with this kind of compression are not converted")),
    }
    whole(BmpDecoder::new(Cursor::new(data))?)
}

fn tiff(data: &[u8]) -> Result<Rgb> {
    let mut file = tiff::decoder::Decoder::new(Cursor::new(data))?;
    let mut tag = |tag| -> Result<Option<u16>> {
        let values = file.find_tag(tag)?.map(tiff::decoder::ifd::Value::into_u16_vec).transpose()?;
        Ok(values.and_then(|values| values.first().copied()))
    };
    // A JPEG inside would be decoded by another decoder than Pillow's.
    ensure(!matches!(tag(Tag::Compression)?, Some(6 | 7)), "TIFFs with JPEG inside are not converted")?;
    ensure(tag(Tag::ExtraSamples)? != Some(1), "TIFFs with premultiplied alpha are not converted")?;
    let is_unsigned = matches!(tag(Tag::SampleFormat)?, None | Some(1));
    ensure(is_unsigned, "TIFFs of signed numbers or floats are not converted")?;
    let decoder = TiffDecoder::new(Cursor::new(data))?;
    match decoder.original_color_type() {
        ExtendedColorType::L1
        | ExtendedColorType::L8
        | ExtendedColorType::Rgb8
        | ExtendedColorType::Rgba8
        | ExtendedColorType::Rgb16
        | ExtendedColorType::Cmyk8 => whole(decoder),
        ExtendedColorType::L16 => Err(ConvertError::Kind(
            "TIFFs of 16-bit gray are not converted, since it is not known which value is white; scale them to 8 bits",
        )),
        kind => Err(ConvertError::TiffKind(kind)),
    }
}

/// Returns the pixels of a decoder, turned upright, without alpha; of 16 bits the upper eight.
fn whole(mut decoder: impl ImageDecoder) -> Result<Rgb> {
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let pixels = match image {
        DynamicImage::ImageRgb16(image) => {
            image.into_raw().into_iter().map(|value| (value >> 8) as u8).collect()
        }
        image => image.into_rgb8().into_raw(),
    };
    Ok(Rgb { width, height, pixels })
}

fn check_size(width: u64, height: u64) -> Result<()> {
    match width * height {
        1..=MAX_PIXELS => Ok(()),
        _ => Err(ConvertError::Size { width, height, most: MAX_PIXELS }),
    }
}

fn ensure(fact: bool, otherwise: &'static str) -> Result<()> {
    if fact { Ok(()) } else { Err(ConvertError::Kind(otherwise)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    /// A small file, and the pixels that Pillow 12 decodes from it; made by `tests/python/converted.py`.
    #[derive(Deserialize)]
    struct Golden {
        file: String,
        /// The pixels, unless Pillow refuses the file.
        size: Option<[u32; 2]>,
        pixels: Option<String>,
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        hex.as_bytes().chunks(2).map(digits).collect()
    }

    #[test]
    fn converted_images_have_the_pixels_that_pillow_shows() {
        let all: BTreeMap<String, Golden> =
            serde_json::from_str(include_str!("../../tests/converted.json")).unwrap();
        let mut refused = Vec::new();
        for (name, golden) in &all {
            let data = bytes(&golden.file);
            let Ok(png) = to_png(FileFormat::of(&data), &data) else {
                refused.push(name.as_str());
                continue;
            };
            let image = pipeline::decode(&png, 1 << 20).unwrap();
            assert_eq!(Some([image.width, image.height]), golden.size, "{name}");
            assert_eq!(image.pixels, bytes(golden.pixels.as_deref().unwrap()), "{name}");
        }
        assert_eq!(refused, REFUSED);
    }

    /// Files that are not converted: because Pillow does not show them either, or because our pixels would
    /// differ.
    const REFUSED: [&str; 20] = [
        "bmp-16",
        "bmp-16-565",
        "bmp-32-ten-bits",
        "bmp-cut-short",
        "bmp-runs",
        "bmp-runs-too-few",
        "gif-cut-short",
        "gif-without-palette",
        "tiff-32-bits",
        "tiff-4-bits",
        "tiff-alpha-premultiplied",
        "tiff-cut-short",
        "tiff-float",
        "tiff-gray-12-of-16",
        "tiff-gray-16",
        "tiff-gray-alpha",
        "tiff-jpeg",
        "tiff-lab",
        "tiff-palette",
        "tiff-rgb-float",
    ];
}
