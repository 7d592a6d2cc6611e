//! Reads one sample of an open shard.

use std::io;

use crate::{
    Encoded, Shard,
    name::Name,
    scan::{Scanner, Trouble},
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

/// Reads the key and the image of a sample.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn sample(shard: &Shard, span: &Span) -> Result<(String, Encoded), Unreadable> {
    // Header and image are read together if they are close, which is usual.
    let is_near = span.image.checked_sub(span.head).is_some_and(|distance| distance < NEAR);
    let start = if is_near { span.head } else { span.image };
    let end = span.image + u64::from(span.length);
    let bytes = match shard.slice(start..end) {
        Ok(bytes) => bytes,
        Err(source) => return Err(Unreadable { key: key(shard, span.head).ok(), source }),
    };
    let key = if is_near { key(&Shard::in_memory(bytes.clone()), 0) } else { key(shard, span.head) };
    let key = key.map_err(|source| Unreadable { key: None, source })?;
    Ok((key, shard.encoded(&bytes, span.image..end)))
}
