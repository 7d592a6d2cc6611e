//! The header of a JPEG: the markers before the entropy-coded data.

use super::{
    markers::{Segment, Segments, marker},
    refusal::{Refusal, Result},
};
use crate::image::{Region, Sampling};

/// The tables that a component uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Component {
    id: u8,
    pub(super) quantization: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// The header of a JPEG, with the tables that its data need. It borrows from the file.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// The sampling of chroma.
    pub sampling: Sampling,
    pub(super) components: [Component; 3],
    /// The quantization tables, in zigzag order.
    pub(super) quantization: [Option<&'a [u8; 64]>; 4],
    /// The definitions of the Huffman tables: sixteen counts of codes, then their symbols.
    pub(super) dc: [Option<&'a [u8]>; 4],
    pub(super) ac: [Option<&'a [u8]>; 4],
    /// The number of MCUs between restart markers; 0 for none.
    pub(super) restart_interval: usize,
    /// The entropy-coded data and everything after them.
    pub(super) scan: &'a [u8],
}

/// The longest side that libjpeg-turbo decodes, in pixels.
const MAX_SIDE: u16 = 65_500;

impl<'a> Header<'a> {
    /// Parses the header of a JPEG.
    ///
    /// # Errors
    /// The file is damaged, or of a kind that this decoder does not support.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let after = bytes.strip_prefix(&[0xFF, marker::SOI]).ok_or(Refusal::Damaged)?;
        let mut partial = PartialHeader::default();
        for segment in Segments::new(after) {
            if let Some(header) = partial.take(&segment)? {
                return Ok(header);
            }
        }
        Err(Refusal::Damaged)
    }

    /// Returns the region that is the whole image.
    pub fn whole(&self) -> Region {
        Region { left: 0, top: 0, width: self.width, height: self.height }
    }
}

/// The header as far as it has been read.
#[derive(Default)]
pub(super) struct PartialHeader<'a> {
    size: Option<(u32, u32)>,
    sampling: Option<Sampling>,
    components: [Component; 3],
    quantization: [Option<&'a [u8; 64]>; 4],
    dc: [Option<&'a [u8]>; 4],
    ac: [Option<&'a [u8]>; 4],
    restart_interval: usize,
    has_jfif: bool,
    adobe_transform: Option<u8>,
}

impl<'a> PartialHeader<'a> {
    /// Reads the next segment. Returns the complete header when the segment is that of the scan.
    pub(super) fn take(&mut self, segment: &Segment<'a>) -> Result<Option<Header<'a>>> {
        if !segment.is_regular {
            return Err(Refusal::Damaged);
        }
        let Segment { marker, bytes, rest, .. } = *segment;
        match marker {
            marker::DQT => self.quantization_tables(bytes)?,
            marker::DHT => self.huffman_tables(bytes)?,
            marker::SOF0 | marker::SOF1 => self.frame(bytes)?,
            marker::DRI => self.restart_interval(bytes)?,
            marker::APP0 => self.jfif(bytes),
            marker::APP14 if bytes.len() >= 12 && bytes.starts_with(b"Adobe") => {
                self.adobe_transform = Some(bytes[11]);
            }
            marker::SOS => return self.finish(bytes, rest).map(Some),
            marker::APP0..=marker::APP15 | marker::COM => {}
            // Progressive, lossless and arithmetic coding, heights and frames defined elsewhere, reserved
            // markers.
            _ => return Err(Refusal::Unsupported),
        }
        Ok(None)
    }

    fn quantization_tables(&mut self, mut segment: &'a [u8]) -> Result<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            // Four tables of 8 bits; tables of 16 bits belong to 12-bit images.
            let table = self.quantization.get_mut(usize::from(kind)).ok_or(Refusal::Unsupported)?;
            let (values, rest) = rest.split_first_chunk().ok_or(Refusal::Damaged)?;
            *table = Some(values);
            segment = rest;
        }
        Ok(())
    }

    fn huffman_tables(&mut self, mut segment: &'a [u8]) -> Result<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Refusal::Damaged),
            };
            let table = tables.get_mut(usize::from(kind & 15)).ok_or(Refusal::Damaged)?;
            let counts = rest.get(..16).ok_or(Refusal::Damaged)?;
            let symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
            if symbols > 256 || rest.len() < 16 + symbols {
                return Err(Refusal::Damaged);
            }
            let (spec, rest) = rest.split_at(16 + symbols);
            *table = Some(spec);
            segment = rest;
        }
        Ok(())
    }

    fn restart_interval(&mut self, segment: &[u8]) -> Result<()> {
        let interval = <[u8; 2]>::try_from(segment).map_err(|_| Refusal::Damaged)?;
        self.restart_interval = u16::from_be_bytes(interval).into();
        Ok(())
    }

    fn jfif(&mut self, segment: &[u8]) {
        self.has_jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0");
    }

    fn frame(&mut self, segment: &[u8]) -> Result<()> {
        if self.size.is_some() {
            return Err(Refusal::Damaged);
        }
        let [precision, y1, y0, x1, x0, count, specs @ ..] = segment else { return Err(Refusal::Damaged) };
        let count = usize::from(*count);
        if *precision != 8 || !matches!(count, 1 | 3) {
            return Err(Refusal::Unsupported);
        }
        if specs.len() != 3 * count {
            return Err(Refusal::Damaged);
        }
        let (width, height) = (u16::from_be_bytes([*x1, *x0]), u16::from_be_bytes([*y1, *y0]));
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(Refusal::Unsupported);
        }
        for (component, spec) in self.components.iter_mut().zip(specs.as_chunks::<3>().0) {
            *component =
                Component { id: spec[0], quantization: usize::from(spec[2]), ..Component::default() };
        }
        let factors: Vec4 = std::array::from_fn(|i| specs.get(3 * i + 1).copied());
        self.sampling = Some(sampling(factors)?);
        self.size = Some((width.into(), height.into()));
        Ok(())
    }

    /// Reads the header of the scan, which must contain all components.
    fn finish(&mut self, segment: &[u8], scan: &'a [u8]) -> Result<Header<'a>> {
        let (Some((width, height)), Some(sampling)) = (self.size, self.sampling) else {
            return Err(Refusal::Damaged);
        };
        self.check_colours(sampling)?;
        let count = sampling.components();
        let [n, specs @ ..] = segment else { return Err(Refusal::Damaged) };
        if usize::from(*n) != count {
            return Err(Refusal::Unsupported); // a separate scan for each component
        }
        // The last three bytes have no meaning in a sequential image.
        if specs.len() != 2 * count + 3 {
            return Err(Refusal::Damaged);
        }
        for (component, spec) in self.components.iter_mut().zip(specs.as_chunks::<2>().0).take(count) {
            if spec[0] != component.id {
                return Err(Refusal::Unsupported);
            }
            (component.dc, component.ac) = (usize::from(spec[1] >> 4), usize::from(spec[1] & 15));
        }
        let Self { components, quantization, dc, ac, restart_interval, .. } = *self;
        Ok(Header { width, height, sampling, components, quantization, dc, ac, restart_interval, scan })
    }

    /// Checks that three components are Y, Cb and Cr, by libjpeg's rules.
    fn check_colours(&self, sampling: Sampling) -> Result<()> {
        let ids = self.components.map(|component| component.id);
        let is_known = match self.adobe_transform {
            _ if sampling == Sampling::Gray => true,
            Some(transform) => transform == 1,
            None => self.has_jfif || ids == [1, 2, 3],
        };
        if is_known { Ok(()) } else { Err(Refusal::Unsupported) }
    }
}

/// The sampling factors of the components, one byte for both axes; the fourth is always missing.
type Vec4 = [Option<u8>; 4];

fn sampling(factors: Vec4) -> Result<Sampling> {
    Ok(match factors {
        // A single component is not interleaved: its factors have no effect, but must be legal.
        [Some(luma), None, ..] if (1..=4).contains(&(luma >> 4)) && (1..=4).contains(&(luma & 15)) => {
            Sampling::Gray
        }
        [Some(0x11), Some(0x11), Some(0x11), None] => Sampling::Full,
        [Some(0x21), Some(0x11), Some(0x11), None] => Sampling::HalfWidth,
        [Some(0x12), Some(0x11), Some(0x11), None] => Sampling::HalfHeight,
        [Some(0x22), Some(0x11), Some(0x11), None] => Sampling::Quarter,
        _ => return Err(Refusal::Unsupported),
    })
}
