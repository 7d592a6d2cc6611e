//! The markers before the entropy-coded data.

use super::{Refusal, Result};

/// How often chroma is sampled against luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// No chroma.
    Gray,
    /// 4:4:4, chroma at every pixel.
    Full,
    /// 4:2:2, at every second column.
    HalfWidth,
    /// 4:4:0, at every second row.
    HalfHeight,
    /// 4:2:0, at every second column of every second row.
    Quarter,
}

impl Sampling {
    /// Luma samples to a chroma sample: across, down.
    pub fn factors(self) -> (usize, usize) {
        match self {
            Self::Gray | Self::Full => (1, 1),
            Self::HalfWidth => (2, 1),
            Self::HalfHeight => (1, 2),
            Self::Quarter => (2, 2),
        }
    }

    /// Components: luma alone, or with two of chroma.
    pub fn components(self) -> usize {
        if self == Self::Gray { 1 } else { 3 }
    }
}

/// The tables that a component uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Component {
    id: u8,
    pub(super) quantization: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// What a JPEG says of itself, with the tables that its data need. Borrows from the file.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How often chroma is sampled.
    pub sampling: Sampling,
    pub(super) components: [Component; 3],
    /// In zigzag order.
    pub(super) quantization: [Option<&'a [u8; 64]>; 4],
    /// Sixteen counts of codes and then their symbols.
    pub(super) dc: [Option<&'a [u8]>; 4],
    pub(super) ac: [Option<&'a [u8]>; 4],
    /// MCUs from one restart marker to the next; 0 for no such markers.
    pub(super) restart_interval: usize,
    /// The entropy-coded data and all that follows.
    pub(super) scan: &'a [u8],
}

/// The longest side that libjpeg-turbo decodes.
const MAX_SIDE: u16 = 65_500;

/// Markers by their second byte.
mod marker {
    pub(super) const SOF0: u8 = 0xC0;
    pub(super) const SOF1: u8 = 0xC1;
    pub(super) const DHT: u8 = 0xC4;
    pub(super) const RST0: u8 = 0xD0;
    pub(super) const RST7: u8 = 0xD7;
    pub(super) const SOI: u8 = 0xD8;
    pub(super) const EOI: u8 = 0xD9;
    pub(super) const SOS: u8 = 0xDA;
    pub(super) const DQT: u8 = 0xDB;
    pub(super) const DRI: u8 = 0xDD;
    pub(super) const APP0: u8 = 0xE0;
    pub(super) const APP14: u8 = 0xEE;
    pub(super) const APP15: u8 = 0xEF;
    pub(super) const COM: u8 = 0xFE;
    pub(super) const TEM: u8 = 0x01;
}

impl<'a> Header<'a> {
    /// Reads the header of a JPEG that begins with the first byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader { rest: bytes.strip_prefix(&[0xFF, marker::SOI]).ok_or(Refusal::Damaged)? };
        let mut draft = Draft::default();
        loop {
            let marker = reader.marker()?;
            let segment = reader.segment()?;
            match marker {
                marker::DQT => draft.quantization_tables(segment)?,
                marker::DHT => draft.huffman_tables(segment)?,
                marker::SOF0 | marker::SOF1 => draft.frame(segment)?,
                marker::DRI => draft.restart_interval(segment)?,
                marker::APP0 => draft.jfif(segment),
                marker::APP14 if segment.len() >= 12 && segment.starts_with(b"Adobe") => {
                    draft.adobe_transform = Some(segment[11]);
                }
                marker::SOS => return draft.finish(segment, reader.rest),
                marker::APP0..=marker::APP15 | marker::COM => {}
                // Progressive, lossless, arithmetic; heights and frames defined elsewhere; what is yet to be defined.
                _ => return Err(Refusal::Unsupported),
            }
        }
    }
}

/// Goes from marker to marker.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next marker that has a segment.
    fn marker(&mut self) -> Result<u8> {
        let [0xFF, rest @ ..] = self.rest else { return Err(Refusal::Damaged) };
        let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
        let (&marker, rest) = rest[fill..].split_first().ok_or(Refusal::Damaged)?;
        self.rest = rest;
        match marker {
            0 | marker::TEM | marker::RST0..=marker::RST7 | marker::SOI | marker::EOI => {
                Err(Refusal::Damaged)
            }
            marker => Ok(marker),
        }
    }

    /// The bytes of the marker's segment after its length.
    fn segment(&mut self) -> Result<&'a [u8]> {
        let length = be16(self.rest, 0)?;
        if length < 2 || length > self.rest.len() {
            return Err(Refusal::Damaged);
        }
        let (segment, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(&segment[2..])
    }
}

fn be16(bytes: &[u8], at: usize) -> Result<usize> {
    let pair = bytes.get(at..at + 2).ok_or(Refusal::Damaged)?;
    Ok(usize::from(pair[0]) << 8 | usize::from(pair[1]))
}

/// What the segments so far have told.
#[derive(Default)]
struct Draft<'a> {
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

impl<'a> Draft<'a> {
    fn quantization_tables(&mut self, mut segment: &'a [u8]) -> Result<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            // Four tables of 8 bits; those of 16 belong to 12-bit images.
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

    /// Takes the scan's header: the only scan, of all components.
    fn finish(mut self, segment: &[u8], scan: &'a [u8]) -> Result<Header<'a>> {
        let (Some((width, height)), Some(sampling)) = (self.size, self.sampling) else {
            return Err(Refusal::Damaged);
        };
        self.check_colours(sampling)?;
        let count = sampling.components();
        let [n, specs @ ..] = segment else { return Err(Refusal::Damaged) };
        if usize::from(*n) != count {
            return Err(Refusal::Unsupported); // one scan for each component
        }
        // The last three mean nothing in a sequential image, whatever they are.
        if specs.len() != 2 * count + 3 {
            return Err(Refusal::Damaged);
        }
        for (component, spec) in self.components.iter_mut().zip(specs.as_chunks::<2>().0).take(count) {
            if spec[0] != component.id {
                return Err(Refusal::Unsupported);
            }
            (component.dc, component.ac) = (usize::from(spec[1] >> 4), usize::from(spec[1] & 15));
        }
        let Self { components, quantization, dc, ac, restart_interval, .. } = self;
        Ok(Header { width, height, sampling, components, quantization, dc, ac, restart_interval, scan })
    }

    /// Three components are Y, Cb and Cr unless something says otherwise (as libjpeg decides it).
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

/// Sampling factors, each a byte of two; the fourth is never there.
type Vec4 = [Option<u8>; 4];

fn sampling(factors: Vec4) -> Result<Sampling> {
    Ok(match factors {
        // A single component is not interleaved: its factors play no part, as long as they are legal.
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
