//! The bits of entropy-coded data, without byte stuffing.

use super::refusal::{Refusal, Result};

/// Zero bytes after the data: more than an MCU can read past their end (six blocks of one coefficient of 27
/// bits and at most 63 of 26, 1,249 bytes), so that one check per MCU is enough.
const PADDING: usize = 1_536;

/// A reader of bits, most significant first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The byte that is read next, in 32 bits, so that the end of a read cannot overflow.
    at: u32,
    /// The next bits, at the top. Below them is a part of the next byte, which will be read again, or zeros.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Begins at byte `at` of `bytes`.
    fn new(bytes: &'a [u8], at: u32) -> Self {
        Self { bytes, at, buffer: 0, count: 0 }
    }

    /// Refills the buffer to at least 56 bits.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let mut word = [0; 8];
        let at = self.at as usize;
        word.copy_from_slice(&self.bytes[at..at + 8]);
        self.buffer |= u64::from_be_bytes(word) >> self.count;
        self.at = self.at.wrapping_add((63 - self.count) >> 3);
        self.count |= 0b11_1000;
    }

    /// Returns the next bits as a number, without consuming them.
    #[inline(always)]
    pub(super) fn peek(&self, bits: u32) -> u64 {
        self.buffer >> (64 - bits)
    }

    /// Returns the bits after the next `bits` ones, at the top of a word.
    #[inline(always)]
    pub(super) fn after(&self, bits: u32) -> u64 {
        self.buffer << bits
    }

    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// Returns the number of consumed bits, from the first byte of `bytes`.
    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        8 * self.at as usize - self.count as usize
    }
}

/// The entropy-coded data of an image, without byte stuffing.
#[derive(Debug, Default)]
pub(super) struct ScanBytes {
    bytes: Vec<u8>,
    /// The end of each part between restart markers.
    ends: Vec<usize>,
}

impl ScanBytes {
    /// Loads the data of a scan up to the end of the image.
    ///
    /// # Errors
    /// The file is cut short, has a second scan, or has restart markers out of order.
    pub(super) fn load(&mut self, scan: &[u8]) -> Result<()> {
        self.bytes.clear();
        self.ends.clear();
        if u32::try_from(scan.len() + PADDING).is_err() {
            return Err(Refusal::Unsupported);
        }
        let mut rest = scan;
        loop {
            let plain = memchr::memchr(0xFF, rest).ok_or(Refusal::Damaged)?;
            self.bytes.extend_from_slice(&rest[..plain]);
            rest = &rest[plain..];
            match rest {
                [0xFF, 0x00, after @ ..] => {
                    self.bytes.push(0xFF);
                    rest = after;
                }
                // Fill bytes before a stuffed byte: libjpeg-turbo's fast and slow paths differ on them.
                [0xFF, 0xFF, 0x00, ..] => return Err(Refusal::Damaged),
                [0xFF, 0xFF, ..] => rest = &rest[1..],
                [0xFF, marker @ 0xD0..=0xD7, after @ ..] => {
                    if usize::from(*marker & 7) != self.ends.len() % 8 {
                        return Err(Refusal::Damaged);
                    }
                    self.ends.push(self.bytes.len());
                    rest = after;
                }
                [0xFF, 0xD9, ..] => break,
                [0xFF, _, ..] => return Err(Refusal::Unsupported),
                _ => return Err(Refusal::Damaged),
            }
        }
        self.ends.push(self.bytes.len());
        self.bytes.resize(self.bytes.len() + PADDING, 0);
        Ok(())
    }

    /// Returns the bits of part `number`, and the bit at which the part ends.
    pub(super) fn part(&self, number: usize) -> Result<(Bits<'_>, usize)> {
        let end = *self.ends.get(number).ok_or(Refusal::Damaged)?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Ok((Bits::new(&self.bytes, start as u32), 8 * end))
    }
}
