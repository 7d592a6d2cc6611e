//! Blocks of 512 bytes, of which a tar file consists.

use tar::Header;

/// The size of a block in bytes; headers begin at its multiples.
pub(crate) const BLOCK: u64 = 512;

/// Returns whether a block is all zeros, as at the end of an archive.
pub(crate) fn is_blank(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Returns whether a block has the checksum of a header: the sum of its bytes, with the checksum itself taken
/// as spaces.
pub(crate) fn is_header(block: &[u8]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
    Header::from_byte_slice(block).cksum().is_ok_and(|found| found == expected)
}
