//! Everything before the data of a JPEG, read in one walk over its segments.

use std::borrow::Cow;

use super::{
    header::{Header, PartialHeader},
    markers::{Segments, marker},
    refusal::{self, Refusal},
};
use crate::{
    Error, Result,
    decode::{exif, header::Header as ImageHeader, metadata::Metadata},
};

const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Size, metadata and header of a JPEG.
#[derive(Debug)]
pub(crate) struct Preamble<'a> {
    /// Width and height, from the first segment that gives them.
    size: Option<(u32, u32)>,
    metadata: Metadata<'a>,
    own: refusal::Result<Header<'a>>,
}

impl<'a> Preamble<'a> {
    /// Walks over the segments of a file that begins like a JPEG, up to the first scan. As in Pillow, EXIF
    /// segments are joined, and of several XMP segments the last one counts.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let mut preamble = Self { size: None, metadata: Metadata::default(), own: Err(Refusal::Damaged) };
        let mut partial = Some(PartialHeader::default());
        for segment in Segments::new(&bytes[2..]) {
            match partial.as_mut().map(|partial| partial.take(&segment)).transpose() {
                Ok(header) => preamble.own = header.flatten().ok_or(Refusal::Damaged),
                Err(refusal) => (partial, preamble.own) = (None, Err(refusal)),
            }
            match segment.marker {
                marker::SOS => break,
                marker::APP1 => read_app1(segment.bytes, &mut preamble.metadata),
                marker if starts_frame(marker) => preamble.size = preamble.size.or(size_of(segment.bytes)),
                _ => {}
            }
        }
        preamble
    }

    /// Returns size and orientation.
    ///
    /// # Errors
    /// The segments do not give the size.
    pub(crate) fn header(&self) -> Result<ImageHeader> {
        let Some((width, height)) = self.size else {
            return Err(Error::Damaged { format: "JPEG", reason: "its header does not tell the size" });
        };
        Ok(ImageHeader { width, height, orientation: self.metadata.orientation() })
    }

    /// Returns the header with the tables, if our own decoder supports the file.
    pub(crate) fn own(&self) -> Option<&Header<'a>> {
        self.own.as_ref().ok()
    }
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

/// Returns whether a marker begins a frame; there is one marker for each kind of coding.
fn starts_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// Reads width and height from a frame's segment.
fn size_of(segment: &[u8]) -> Option<(u32, u32)> {
    let [_precision, h0, h1, w0, w1, ..] = *segment else { return None };
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    (width > 0 && height > 0).then(|| (width.into(), height.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rgb, encode_jpeg};

    /// Returns width and height, and whether our own decoder supports the file.
    fn walk(bytes: &[u8]) -> (Option<(u32, u32)>, bool) {
        let preamble = Preamble::read(bytes);
        assert_eq!(preamble.own().is_some(), Header::parse(bytes).is_ok(), "{} bytes", bytes.len());
        (preamble.header().ok().map(|header| (header.width, header.height)), preamble.own().is_some())
    }

    #[test]
    fn one_walk_finds_the_size_and_whether_our_own_decoder_supports_the_file() {
        let jpeg = encode_jpeg(&Rgb::black(40, 30), 90).unwrap();
        assert_eq!(walk(&jpeg), (Some((40, 30)), true));
        let scan = jpeg.windows(2).position(|pair| pair == [0xFF, marker::SOS]).unwrap();
        for length in 3..scan {
            assert!(!walk(&jpeg[..length]).1, "{length} bytes have no scan");
        }
        let stray = [&jpeg[..2], &[7, 7], &jpeg[2..]].concat();
        assert_eq!(walk(&stray), (Some((40, 30)), false), "stray bytes are left to libjpeg-turbo");
        let mut progressive = jpeg.clone();
        let frame = jpeg.windows(2).position(|pair| pair == [0xFF, marker::SOF0]).unwrap();
        progressive[frame + 1] = 0xC2;
        assert_eq!(walk(&progressive), (Some((40, 30)), false));
    }
}
