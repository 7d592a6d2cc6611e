//! EXIF and XMP of a PNG, which may be in text chunks.

use std::borrow::Cow;

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress,
        inflate_flags::{
            TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        },
    },
};

use super::chunks::Chunks;
use crate::decode::metadata::Metadata;

/// The most bytes of a text that are decompressed.
const MAX_TEXT: usize = 1 << 20;

/// Reads the chunks before and after the pixels; of several of a kind the last one counts.
pub(super) fn read(chunks: Chunks) -> Metadata {
    let mut metadata = MetadataChunks::default();
    let mut place = Place::default();
    for (name, data) in chunks {
        if name == b"IEND" || place.is_at_next_frame(*name, data) {
            break;
        }
        match name {
            b"eXIf" => metadata.exif = Some(Cow::Borrowed(data)),
            b"tEXt" => metadata.text(data),
            b"zTXt" => metadata.packed_text(data),
            b"iTXt" => metadata.international_text(data).unwrap_or_default(),
            _ => {}
        }
    }
    let raw = metadata.raw_exif.as_deref().map(|raw| Cow::Owned(unhex(raw)));
    let xmp = metadata.xmp_text.filter(|text| !text.is_empty()).or(metadata.xmp);
    Metadata { exif: metadata.exif.or(raw), xmp }
}

/// EXIF and XMP of the chunks read so far.
#[derive(Default)]
struct MetadataChunks<'a> {
    exif: Option<Cow<'a, [u8]>>,
    /// EXIF in hexadecimal digits, as `ImageMagick` writes it.
    raw_exif: Option<Cow<'a, [u8]>>,
    /// XMP in a text chunk of any kind.
    xmp_text: Option<Cow<'a, [u8]>>,
    xmp: Option<Cow<'a, [u8]>>,
}

const RAW_EXIF: &[u8] = b"Raw profile type exif";
const XMP: &[u8] = b"XML:com.adobe.xmp";

impl<'a> MetadataChunks<'a> {
    fn text(&mut self, data: &'a [u8]) {
        let (key, value) = split(data).unwrap_or((data, &[]));
        match key {
            b"exif" => self.exif = Some(Cow::Borrowed(value)),
            RAW_EXIF => self.raw_exif = Some(Cow::Borrowed(value)),
            XMP => self.xmp_text = Some(Cow::Borrowed(value)),
            _ => {}
        }
    }

    fn packed_text(&mut self, data: &'a [u8]) {
        let (key, value) = split(data).unwrap_or((data, &[]));
        let place = match key {
            RAW_EXIF => &mut self.raw_exif,
            XMP => &mut self.xmp_text,
            _ => return,
        };
        *place = Some(Cow::Owned(unpack(value.get(1..).unwrap_or_default()).unwrap_or_default()));
    }

    /// Reads an `iTXt` chunk; language and translated key are ignored.
    fn international_text(&mut self, data: &'a [u8]) -> Option<()> {
        let (key, [is_packed, method, rest @ ..]) = split(data)? else { return None };
        let (language, rest) = split(rest)?;
        let (translated, text) = split(rest)?;
        if key != RAW_EXIF && key != XMP {
            return None;
        }
        let text = match (is_packed, method) {
            (0, _) => Cow::Borrowed(text),
            (_, 0) => Cow::Owned(unpack(text)?),
            _ => return None,
        };
        if key == XMP {
            self.xmp = Some(text.clone());
        }
        if [language, translated, &text].iter().all(|part| std::str::from_utf8(part).is_ok()) {
            *(if key == XMP { &mut self.xmp_text } else { &mut self.raw_exif }) = Some(text);
        }
        Some(())
    }
}

/// Splits bytes before and after the first zero.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = memchr::memchr(0, bytes)?;
    Some((&bytes[..zero], &bytes[zero + 1..]))
}

/// Decompresses zlib data as far as they are complete; `None` if they are damaged or far too long.
fn unpack(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = vec![0; MAX_TEXT];
    let flags =
        TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, _, length) = decompress(&mut DecompressorOxide::new(), data, &mut text, 0, flags);
    text.truncate(length);
    matches!(status, TINFLStatus::Done | TINFLStatus::NeedsMoreInput).then_some(text)
}

/// Decodes a raw profile: hexadecimal digits from the fourth line on. Other characters make it unreadable
/// EXIF.
fn unhex(text: &[u8]) -> Vec<u8> {
    let digits = text.split(|byte| *byte == b'\n').skip(3).collect::<Vec<_>>().concat();
    let mut rest = digits.trim_ascii_start();
    let mut bytes = Vec::new();
    while let Some((pair, after)) = rest.split_first_chunk::<2>() {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (high, low) else { break };
        bytes.push((high << 4 | low) as u8);
        rest = after.trim_ascii_start(); // blanks are only allowed between bytes
    }
    if rest.is_empty() { bytes } else { b"?".to_vec() }
}

/// The position among the chunks of an animation.
#[derive(Default)]
struct Place {
    /// The number of frames.
    frames: u32,
    has_frame: bool,
    has_pixels: bool,
}

impl Place {
    /// Returns whether the second frame of an animation begins, at which the first image ends.
    fn is_at_next_frame(&mut self, name: [u8; 4], data: &[u8]) -> bool {
        match (&name, data) {
            (b"acTL", [a, b, c, d, ..]) => self.frames = u32::from_be_bytes([*a, *b, *c, *d]),
            (b"IDAT", _) if !self.has_pixels => {
                // Pixels before any frame are an image of their own.
                self.frames += u32::from(self.frames > 0 && !self.has_frame);
                self.has_pixels = true;
            }
            (b"fcTL", _) if self.has_pixels => return self.frames > 1,
            (b"fcTL", _) => self.has_frame = true,
            _ => {}
        }
        false
    }
}
