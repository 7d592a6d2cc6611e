//! Decodes WebPs.
//!
//! libwebp only gets the chunk with the pixels: that saves decoding the alpha plane, half the time of a lossy
//! image with alpha, and makes the first frame of an animation an image like others.

use std::{borrow::Cow, ffi::c_int};

use libwebp_sys::{VP8StatusCode, WEBP_CSP_MODE, WebPDecoderConfig, WebPRGBABuffer};

use crate::{Error, Result, Rgb};

use super::{header::Header, limit::Limit, metadata::Metadata, orientation::Orientation};

const HAS_ANIMATION: u8 = 0x02;
const HAS_XMP: u8 = 0x04;
const HAS_EXIF: u8 = 0x08;

/// Decodes a WebP, or the first frame of an animation, on black where the frame does not cover the canvas.
pub(super) fn decode(bytes: &[u8], limit: Limit, image: &mut Rgb) -> Result<()> {
    let WebP { width, height, frame, .. } = WebP::read(bytes).map_err(damaged)?;
    limit.check(width, height)?;
    image.reshape(width, height);
    if (frame.width, frame.height) != (width, height) {
        image.pixels.fill(0);
    }
    let stride = image.stride();
    let place = frame.y as usize * stride + 3 * frame.x as usize;
    decode_chunk(frame.chunk, &mut image.pixels[place..], stride)
}

/// Reads size and orientation; EXIF and XMP are after the pixels.
pub(super) fn header(bytes: &[u8]) -> Result<Header> {
    let WebP { width, height, orientation, .. } = WebP::read(bytes).map_err(damaged)?;
    Ok(Header { width, height, orientation })
}

fn damaged(reason: &'static str) -> Error {
    Error::Damaged { format: "WebP", reason }
}

/// The parsed parts of a WebP.
struct WebP<'a> {
    width: u32,
    height: u32,
    orientation: Orientation,
    frame: Frame<'a>,
}

/// The only image, or the first frame of an animation. It lies within the canvas.
struct Frame<'a> {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    /// The chunk of the pixels, with its header.
    chunk: &'a [u8],
}

impl<'a> WebP<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let riff = bytes.get(8..).unwrap_or_default();
        let length = bytes[4..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        let chunks = Chunks(riff.get(4..length).ok_or("it is cut short")?);
        if let Some(Chunk { name: b"VP8X", data, .. }) = chunks.clone().next() {
            return Self::extended(data, chunks);
        }
        let frame = Frame::still(chunks)?;
        let Frame { width, height, .. } = frame;
        Ok(Self { width, height, orientation: Orientation::Upright, frame })
    }

    /// Reads an extended WebP, whose first chunk gives the canvas and the features.
    fn extended(features: &[u8], chunks: Chunks<'a>) -> Result<Self, &'static str> {
        let [flags, _, _, _, size @ ..] = features else { return Err("its header is cut short") };
        let (width, height) = (u24(size, 0)? + 1, u24(size, 3)? + 1);
        let frame = if flags & HAS_ANIMATION == 0 {
            Frame::still(chunks.clone())?
        } else {
            let first = chunks.clone().find(|chunk| chunk.name == b"ANMF");
            Frame::moving(first.ok_or("its animation has no frame")?.data)?
        };
        let is_whole = (frame.width, frame.height) == (width, height);
        let fits = frame.x + frame.width <= width && frame.y + frame.height <= height;
        if !fits || flags & HAS_ANIMATION == 0 && !is_whole {
            return Err("its sizes contradict each other");
        }
        // The first chunk of a name counts, if the header announces it and it is not empty.
        let first = |flag: u8, name: &[u8; 4]| {
            let chunk = chunks.clone().find(|chunk| flags & flag != 0 && chunk.name == name);
            chunk.map(|chunk| Cow::Borrowed(chunk.data)).filter(|data| !data.is_empty())
        };
        let metadata = Metadata { exif: first(HAS_EXIF, b"EXIF"), xmp: first(HAS_XMP, b"XMP ") };
        Ok(Self { width, height, orientation: metadata.orientation(), frame })
    }
}

impl<'a> Frame<'a> {
    /// Finds the still image among `chunks`; it covers the canvas.
    fn still(mut chunks: Chunks<'a>) -> Result<Self, &'static str> {
        let pixels = chunks.find(|chunk| matches!(chunk.name, b"VP8 " | b"VP8L"));
        let chunk = pixels.ok_or("it has no pixels")?.whole;
        let (width, height) = size_of_chunk(chunk).ok_or("the header of its pixels is damaged")?;
        Ok(Self { x: 0, y: 0, width, height, chunk })
    }

    /// Reads a frame of an animation: its place, its size, other fields, and chunks like those of a still
    /// image.
    fn moving(data: &'a [u8]) -> Result<Self, &'static str> {
        let frame = Self::still(Chunks(data.get(16..).unwrap_or_default()))?;
        if (frame.width, frame.height) != (u24(data, 6)? + 1, u24(data, 9)? + 1) {
            return Err("its sizes contradict each other");
        }
        Ok(Self { x: 2 * u24(data, 0)?, y: 2 * u24(data, 3)?, ..frame })
    }
}

/// Reads the three-byte number at `at`.
fn u24(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    let [a, b, c, ..] = *bytes.get(at..).unwrap_or_default() else { return Err("its header is cut short") };
    Ok(u32::from_le_bytes([a, b, c, 0]))
}

struct Chunk<'a> {
    name: &'a [u8; 4],
    data: &'a [u8],
    /// The chunk with its name and length.
    whole: &'a [u8],
}

/// An iterator over the chunks of a RIFF file, up to one that is cut short.
#[derive(Clone)]
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk()?;
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let (whole, rest) = self.0.split_at_checked(length.checked_add(8)?)?;
        self.0 = rest.get(length % 2..).unwrap_or_default();
        Some(Chunk { name, data: &whole[8..], whole })
    }
}

/// Reads width and height from a `VP8 ` or `VP8L` chunk.
#[expect(unsafe_code, reason = "libwebp has no safe bindings that are kept up to date")]
fn size_of_chunk(chunk: &[u8]) -> Option<(u32, u32)> {
    let (mut width, mut height): (c_int, c_int) = (0, 0);
    // SAFETY: libwebp reads at most `len` bytes, writes two integers, and keeps no pointer.
    let is_known =
        unsafe { libwebp_sys::WebPGetInfo(chunk.as_ptr(), chunk.len(), &raw mut width, &raw mut height) };
    (is_known != 0).then_some((width.try_into().ok()?, height.try_into().ok()?))
}

/// Decodes a `VP8 ` or `VP8L` chunk into rows that are `stride` bytes apart.
#[expect(unsafe_code, reason = "libwebp has no safe bindings that decode into the caller's memory")]
fn decode_chunk(chunk: &[u8], pixels: &mut [u8], stride: usize) -> Result<()> {
    let undecodable = || damaged("its pixels cannot be decoded");
    let mut config = WebPDecoderConfig::new().map_err(|()| undecodable())?;
    let stride = c_int::try_from(stride).map_err(|_| undecodable())?;
    config.output.colorspace = WEBP_CSP_MODE::MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride, size: pixels.len() };
    // SAFETY: libwebp reads at most `len` bytes, and writes only after checking that all rows, of the width
    // and height in the same bytes, end within `size`. It keeps pointers only in `config`, which owns no
    // memory. Its own initialization is guarded by a mutex (feature `std` of `libwebp-sys`), so that threads
    // may decode concurrently.
    let status = unsafe { libwebp_sys::WebPDecode(chunk.as_ptr(), chunk.len(), &raw mut config) };
    match status {
        VP8StatusCode::VP8_STATUS_OK => Ok(()),
        VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY => Err(Error::Memory),
        _ => Err(undecodable()),
    }
}
