//! Size and orientation of a JPEG, by a walk over its segments.

use std::borrow::Cow;

use crate::{Error, Result};

use super::{Header, exif, metadata::Metadata};

const START_OF_SCAN: u8 = 0xDA;
const APP1: u8 = 0xE1;

const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Reads the header of a JPEG. Its segments count up to the first scan: all EXIF as if it were one, and the last XMP, as in
/// Pillow.
pub(super) fn read(bytes: &[u8]) -> Result<Header> {
    let mut size = None;
    let mut metadata = Metadata::default();
    for (marker, segment) in Segments(&bytes[2..]) {
        match marker {
            START_OF_SCAN => break,
            APP1 => read_app1(segment, &mut metadata),
            _ if starts_frame(marker) => size = size.or(size_of(segment)),
            _ => {}
        }
    }
    let Some((width, height)) = size else {
        return Err(Error::Damaged { format: "JPEG", reason: "its header does not tell the size" });
    };
    Ok(Header { width, height, orientation: metadata.orientation() })
}

fn read_app1<'a>(segment: &'a [u8], metadata: &mut Metadata<'a>) {
    if let Some(more) = segment.strip_prefix(exif::PREFIX) {
        match &mut metadata.exif {
            Some(exif) => exif.to_mut().extend_from_slice(more),
            none => *none = Some(Cow::Borrowed(segment)),
        }
    } else if let Some(xmp) = segment.strip_prefix(XMP) {
        metadata.xmp = Some(Cow::Borrowed(xmp));
    }
}

/// Whether the segment of this marker describes the frame: one for each kind of coding.
fn starts_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// Width and height, by the segment that describes the frame.
fn size_of(segment: &[u8]) -> Option<(u32, u32)> {
    let [_precision, h0, h1, w0, w1, ..] = *segment else { return None };
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    (width > 0 && height > 0).then(|| (width.into(), height.into()))
}

/// The segments of a JPEG, each with its marker and without its length. Those cut short are none.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // What lies between segments, and the 0xFF that may be repeated before a marker, is skipped as libjpeg does.
        let start = self.0.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
        let (marker, rest) = (self.0[start + 1], &self.0[start + 2..]);
        if matches!(marker, 0x01 | 0xD0..=0xD9) {
            self.0 = rest;
            return Some((marker, &[]));
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?)).max(2);
        let segment = rest.get(2..length)?;
        self.0 = &rest[length..];
        Some((marker, segment))
    }
}
