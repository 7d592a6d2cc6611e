//! The blocks of 512 bytes that a tar file consists of.

use tar::Header;

/// Headers begin at multiples of this.
pub(crate) const BLOCK: u64 = 512;

/// Whether a block is the zeros that end an archive.
pub(crate) fn is_blank(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Whether a block's checksum is that of a header: the sum of its bytes, the checksum's own taken as spaces.
pub(crate) fn is_header(block: &[u8]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
    Header::from_byte_slice(block).cksum().is_ok_and(|found| found == expected)
}
