//! The segments of a JPEG.

/// The second bytes of markers.
pub(super) mod marker {
    pub(in super::super) const SOF0: u8 = 0xC0;
    pub(in super::super) const SOF1: u8 = 0xC1;
    pub(in super::super) const DHT: u8 = 0xC4;
    pub(in super::super) const RST0: u8 = 0xD0;
    pub(in super::super) const SOI: u8 = 0xD8;
    pub(in super::super) const EOI: u8 = 0xD9;
    pub(in super::super) const SOS: u8 = 0xDA;
    pub(in super::super) const DQT: u8 = 0xDB;
    pub(in super::super) const DRI: u8 = 0xDD;
    pub(in super::super) const APP0: u8 = 0xE0;
    pub(in super::super) const APP1: u8 = 0xE1;
    pub(in super::super) const APP14: u8 = 0xEE;
    pub(in super::super) const APP15: u8 = 0xEF;
    pub(in super::super) const COM: u8 = 0xFE;
    pub(in super::super) const TEM: u8 = 0x01;
}

/// A segment of a JPEG.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    /// The bytes after its length; empty if the marker has none.
    pub(super) bytes: &'a [u8],
    /// Whether it has a legal length, and follows the previous segment directly.
    pub(super) is_regular: bool,
    /// The bytes after the segment.
    pub(super) rest: &'a [u8],
}

/// An iterator over the segments of a JPEG, up to one that is cut short.
#[derive(Debug)]
pub(super) struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    /// Begins after the first marker.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        // Bytes between segments, and repeated 0xFF before a marker, are skipped as by libjpeg.
        let start = self.0.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
        let follows = self.0[..start].iter().all(|byte| *byte == 0xFF);
        let (marker, rest) = (self.0[start + 1], &self.0[start + 2..]);
        if matches!(marker, marker::TEM | marker::RST0..=marker::EOI) {
            self.0 = rest;
            return Some(Segment { marker, bytes: &[], is_regular: false, rest });
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let bytes = rest.get(2..length.max(2))?;
        self.0 = &rest[length.max(2)..];
        Some(Segment { marker, bytes, is_regular: follows && length >= 2, rest: self.0 })
    }
}
