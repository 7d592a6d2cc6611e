//! Reads one sample out of an open shard.

use std::io;

use crate::{
    Encoded, Shard,
    name::Name,
    scan::{Scanner, Trouble},
    span::Span,
};

/// Bytes between the header of a sample's image and that image that are read for the sake of a single read.
const NEAR: u64 = 1 << 16;

/// The key of a sample: the name of the member whose first header lies at `head`, up to the last dot.
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

/// The key and the image of a sample, or what there is of the key and why the image cannot be read.
pub(crate) fn sample(shard: &Shard, span: &Span) -> Result<(String, Encoded), (Option<String>, io::Error)> {
    // Header and image at once where they lie next to each other, as they usually do.
    let is_near = span.image.checked_sub(span.head).is_some_and(|distance| distance < NEAR);
    let start = if is_near { span.head } else { span.image };
    let end = span.image + u64::from(span.length);
    let bytes = match shard.slice(start..end) {
        Ok(bytes) => bytes,
        Err(source) => return Err((key(shard, span.head).ok(), source)),
    };
    let key = if is_near { key(&Shard::in_memory(bytes.clone()), 0) } else { key(shard, span.head) };
    Ok((key.map_err(|source| (None, source))?, shard.encoded(&bytes, span.image..end)))
}
