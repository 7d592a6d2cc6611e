//! Recognizes files that are no tar before anything is made of them.

use crate::{
    Error, Result, ShardName,
    scan::{is_blank, is_header},
};

/// Bytes that are enough to tell by.
pub(crate) const LENGTH: u64 = 512;
/// How compressed files begin, and what undoes it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (&[0x1f, 0x8b], "gzip", "gunzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// Refuses a shard whose first [`LENGTH`] bytes, or all where it has fewer, are those of something else.
pub(crate) fn check(name: &ShardName, start: &[u8]) -> Result<()> {
    for (magic, format, cure) in COMPRESSED {
        if start.starts_with(magic) {
            return Err(Error::Compressed { shard: name.shared(), format, cure });
        }
    }
    // Less than a header may be the rest of a tar, which has zeros behind the first name; text has none.
    let is_short = (start.len() as u64) < LENGTH;
    let may_be_tar = if is_short { start.contains(&0) } else { is_blank(start) || is_header(start) };
    if may_be_tar { Ok(()) } else { Err(Error::NotTar { shard: name.shared() }) }
}
