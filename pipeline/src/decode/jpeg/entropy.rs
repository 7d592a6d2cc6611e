//! Decodes the coefficients of one block.

use super::{
    bits::Bits,
    huffman::{AcTable, DcTable, END, extend},
};

/// The coefficients of a block, row by row, and room for those that lie beyond its end. It has 256 places, so
/// that a byte needs no bounds check.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [i16; 256]);

/// The place for coefficients beyond the last one.
const BEYOND: u8 = 64;

/// The place in a block of each coefficient in zigzag order, and beyond 63 as far as two runs can lead.
const PLACES: [u8; 63 + 256] = {
    let mut places = [BEYOND; 63 + 256];
    let (mut x, mut y, mut k) = (0usize, 0usize, 0);
    while k < 64 {
        places[k] = (8 * y + x) as u8;
        k += 1;
        // Along the diagonals, alternately up and down.
        let is_up = (x + y).is_multiple_of(2);
        (x, y) = match (is_up, x, y) {
            (true, 7, y) => (7, y + 1),
            (true, x, 0) => (x + 1, 0),
            (true, x, y) => (x + 1, y - 1),
            (false, x, 7) => (x + 1, 7),
            (false, 0, y) => (0, y + 1),
            (false, x, y) => (x - 1, y + 1),
        };
    }
    places
};

/// Returns the place in a block of coefficient `k` < 64 in zigzag order.
pub(super) fn place(k: usize) -> usize {
    PLACES[k].into()
}

/// The tables of a component, and the DC coefficient that the next one is coded against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coder<'a> {
    pub(super) dc: &'a DcTable,
    pub(super) ac: &'a AcTable,
    pub(super) last_dc: i32,
}

impl Coder<'_> {
    /// Decodes a block of coefficients into `block`, which must be zero; `None` if the bits are invalid.
    #[inline(always)]
    pub(super) fn block(&mut self, bits: &mut Bits, block: &mut Block) -> Option<()> {
        self.walk(bits, |place, value| block.0[place] = value)
    }

    /// Skips a block, except for its DC coefficient, which the next one is coded against.
    #[inline(always)]
    pub(super) fn skip_block(&mut self, bits: &mut Bits) -> Option<()> {
        self.walk(bits, |_, _| ())
    }

    #[inline(always)]
    fn walk(&mut self, shared: &mut Bits, mut put: impl FnMut(usize, i16)) -> Option<()> {
        let mut bits = *shared; // kept in registers
        bits.refill();
        self.last_dc = self.last_dc.wrapping_add(self.dc.take(&mut bits)?);
        put(0, self.last_dc as i16);
        let last = self.walk_ac(&mut bits, put)?;
        *shared = bits;
        (last == 63 || last >= usize::from(END)).then_some(())
    }

    /// Decodes coefficients until the last one, or one beyond the block. Returns its number.
    #[inline(always)]
    fn walk_ac(&self, bits: &mut Bits, mut put: impl FnMut(usize, i16)) -> Option<usize> {
        let mut k = 0;
        loop {
            bits.refill();
            let mut symbols = self.ac.look(bits);
            for _ in 0..LOOKUPS {
                if symbols.is_incomplete() {
                    break;
                }
                let (first, second) = (k + symbols.first_run(), k + symbols.second_run());
                // The second one is written first: if there is none, the first one overwrites its place.
                put(PLACES[second].into(), symbols.second());
                put(PLACES[first].into(), symbols.first());
                if second >= 63 {
                    // The second symbol may already belong to the next block.
                    let is_first = first >= 63;
                    bits.skip(if is_first { symbols.first_bits() } else { symbols.bits() });
                    return Some(if is_first { first } else { second });
                }
                bits.skip(symbols.bits());
                k = second;
                symbols = self.ac.look(bits);
            }
            // One lookup in twenty is incomplete and is decoded here. Complete ones reach this point after
            // `LOOKUPS` rounds and are looked up again.
            if symbols.is_incomplete() {
                bits.refill();
                let (code, extra, run) = self.ac.single(symbols, bits)?;
                k += run;
                put(PLACES[k].into(), extend(bits.after(code), extra) as i16);
                bits.skip(code + extra);
                if k >= 63 {
                    return Some(k);
                }
            }
        }
    }
}

/// The number of lookups per refill: after four lookups of 10 bits, a buffer of 56 bits still holds the next
/// one.
const LOOKUPS: usize = 4;
