//! The header of a PNG.

use super::{chunks::Chunks, metadata};
use crate::{Error, Result, decode::header::Header};

/// Reads size and orientation.
///
/// # Errors
/// The first chunk is not a header, or gives no pixels.
pub(in crate::decode) fn header(bytes: &[u8]) -> Result<Header> {
    let mut chunks = Chunks::new(bytes.get(8..).unwrap_or_default());
    let Some((b"IHDR", [w0, w1, w2, w3, h0, h1, h2, h3, ..])) = chunks.next() else {
        return Err(Error::Damaged { format: "PNG", reason: "its header does not tell the size" });
    };
    let width = u32::from_be_bytes([*w0, *w1, *w2, *w3]);
    let height = u32::from_be_bytes([*h0, *h1, *h2, *h3]);
    if width == 0 || height == 0 {
        return Err(Error::Damaged { format: "PNG", reason: "it has no pixels" });
    }
    Ok(Header { width, height, orientation: metadata::read(chunks).orientation() })
}
