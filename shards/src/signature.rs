//! Recognizes files that are no tar before anything is made of them.

use crate::{
    Error, Result, Shard, ShardName,
    scan::{is_blank, is_header},
};

const HEADER: u64 = 512;
/// How compressed files begin, and what undoes it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (&[0x1f, 0x8b], "gzip", "gunzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// Refuses a shard whose first bytes are those of something else.
pub(crate) fn check(name: &ShardName, shard: &Shard) -> Result<()> {
    let mut start = vec![0; shard.len().min(HEADER) as usize];
    if shard.read(0, &mut start).is_err() {
        return Ok(()); // the scanner says why
    }
    for (magic, format, cure) in COMPRESSED {
        if start.starts_with(magic) {
            return Err(Error::Compressed { shard: name.shared(), format, cure });
        }
    }
    // Less than a header may be the rest of a tar, which has zeros behind the first name; text has none.
    let may_be_tar =
        if shard.len() < HEADER { start.contains(&0) } else { is_blank(&start) || is_header(&start) };
    if may_be_tar { Ok(()) } else { Err(Error::NotTar { shard: name.shared() }) }
}
