//! Reads one sample out of an open shard.

use std::io;

use crate::{
    Encoded, Shard,
    index::split_name,
    scan::{Scanner, Trouble},
    span::Span,
};

/// Bytes between a sample's first header and its image that are read for the sake of a single read.
const NEAR: u64 = 1 << 16;

/// The key of a sample whose first header lies at `head`.
pub(crate) fn key(shard: &Shard, head: u64) -> io::Result<String> {
    let member = Scanner::new(shard, head).next();
    let changed = || io::Error::other("the shard was rewritten after it was indexed");
    let member = match member {
        Ok(member) => member.ok_or_else(changed)?,
        Err(Trouble::Unreadable { source, .. }) => return Err(source),
        Err(_) => return Err(changed()),
    };
    let (key, _) = split_name(&member.name).ok_or_else(changed)?;
    Ok(String::from_utf8_lossy(key).into_owned())
}

/// The key and the image of a sample, or what there is of the key and why the image cannot be read.
pub(crate) fn sample(shard: &Shard, span: &Span) -> Result<(String, Encoded), (Option<String>, io::Error)> {
    let without_key = |source| (None, source);
    if span.image == 0 {
        return Ok((key(shard, span.head).map_err(without_key)?, Encoded::default()));
    }
    // Header and image at once where they lie next to each other, as they usually do.
    let start = if span.image - span.head < NEAR { span.head } else { span.image };
    let end = span.image + u64::from(span.length);
    let bytes = match shard.slice(start..end) {
        Ok(bytes) => bytes,
        Err(source) => return Err((key(shard, span.head).ok(), source)),
    };
    let key =
        if start == span.head { key(&Shard::in_memory(bytes.clone()), 0) } else { key(shard, span.head) };
    Ok((key.map_err(without_key)?, shard.encoded(&bytes, span.image..end)))
}
