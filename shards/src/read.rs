//! Reads one sample of an open shard.

use std::{io, ops::Range, sync::Arc};

use crate::{
    Encoded, Shard,
    name::Name,
    scan::{Kind, Member, Scanner, Trouble},
    span::Span,
};

/// The largest distance in bytes from a sample's header to its image for which both are read together.
const NEAR: u64 = 1 << 16;

/// Reads the key of a sample: the name of the member whose first header is at byte `head`, up to the last
/// dot.
///
/// # Errors
/// The header cannot be read, or is not there any more.
pub(crate) fn key(shard: &Shard, head: u64) -> io::Result<String> {
    let member = Scanner::new(shard, head).next();
    let changed = || io::Error::other("the shard was rewritten after it was indexed");
    let member = match member {
        Ok(member) => member.ok_or_else(changed)?,
        Err(Trouble::Unreadable { source, .. }) => return Err(source),
        Err(_) => return Err(changed()),
    };
    let name = Name::split(&member.name).ok_or_else(changed)?;
    Ok(String::from_utf8_lossy(name.stem()).into_owned())
}

/// The error of a sample that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The key, if it could be read.
    pub(crate) key: Option<String>,
    pub(crate) source: io::Error,
}

/// Returns the bytes of a sample that are read together: header and image if they are close, which is usual, or else
/// the image alone.
pub(crate) fn extent(span: &Span) -> Range<u64> {
    let start = if is_near(span) { span.head } else { span.image };
    start..span.image + u64::from(span.length)
}

/// Returns whether the header of a sample lies close before its image.
pub(crate) fn is_near(span: &Span) -> bool {
    span.image.checked_sub(span.head).is_some_and(|distance| distance < NEAR)
}

/// Reads the key and the image of a sample.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn sample(shard: &Shard, span: &Span) -> Result<(String, Encoded), Unreadable> {
    let bytes = match shard.slice(extent(span)) {
        Ok(bytes) => bytes,
        Err(source) => return Err(Unreadable { key: key(shard, span.head).ok(), source }),
    };
    let key = if is_near(span) { key(&Shard::in_memory(bytes.clone()), 0) } else { key(shard, span.head) };
    let key = key.map_err(|source| Unreadable { key: None, source })?;
    Ok((key, shard.encoded(&bytes, span.image..extent(span).end)))
}

/// Reads the key and the image of a sample from a part of its shard that has its [`extent`]. `headers` gives the whole
/// shard, for a header that lies elsewhere.
///
/// The index may have been made of another version of the shard, so header and index are compared.
///
/// # Errors
/// One of them cannot be read, or the header is not the one that was indexed.
pub(crate) fn sample_of_part(
    part: &Shard,
    span: &Span,
    headers: impl FnOnce() -> io::Result<Arc<Shard>>,
) -> Result<(String, Encoded), Unreadable> {
    let unreadable = |source| Unreadable { key: None, source };
    let bytes = part.slice(extent(span)).map_err(unreadable)?;
    let header = if is_near(span) {
        let near = Shard::in_memory(bytes.clone());
        indexed_key(&near, 0, |member| {
            (member.data, member.size) == (span.image - span.head, span.length.into())
        })
    } else {
        // The member is a link: its data lie elsewhere.
        headers().and_then(|shard| indexed_key(&shard, span.head, |member| member.kind != Kind::File))
    };
    Ok((header.map_err(unreadable)?, part.encoded(&bytes, span.image..extent(span).end)))
}

/// Reads the key of the member whose first header is at byte `head`, if it is the expected member.
fn indexed_key(shard: &Shard, head: u64, is_expected: impl FnOnce(&Member) -> bool) -> io::Result<String> {
    let other = || io::Error::other("the index does not fit the shard: it was made of another version");
    match Scanner::new(shard, head).next() {
        Ok(Some(member)) if is_expected(&member) => {
            let name = Name::split(&member.name).ok_or_else(other)?;
            Ok(String::from_utf8_lossy(name.stem()).into_owned())
        }
        Err(Trouble::Unreadable { source, .. }) => Err(source),
        Ok(_) | Err(_) => Err(other()),
    }
}
