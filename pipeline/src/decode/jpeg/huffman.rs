//! Huffman codes as lookup tables, with one or two symbols per lookup.

use super::{
    bits::Bits,
    refusal::{Refusal, Result},
};

/// The number of bits in a lookup.
const LOOK: u32 = 10;

/// A run that ends the block, whatever came before it.
pub(super) const END: u8 = 128;

/// The meaning of the next bits of a block: one AC coefficient, or two if both fit into a lookup with their
/// values.
///
/// It is a word, so that it stays in a register. From the lowest byte on: the total number of bits; the bits
/// of the first coefficient; its run; the run of the second one, from the same place (that of the first if
/// there is no second); the value of the second one; an unused byte; and in two bytes the value of the first
/// one.
///
/// If not even the first coefficient fits, the total is 0, and the next bytes are the bits of its code, the
/// bits of its value, and its run; all are 0 for a code longer than the lookup.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Symbols(u64);

impl Symbols {
    fn incomplete(code: u8, extra: u8, run: u8) -> Self {
        Self(u64::from_le_bytes([0, code, extra, run, 0, 0, 0, 0]))
    }

    /// Makes an entry of one coefficient.
    fn one(bits: u8, run: u8, value: i16) -> Self {
        let [low, high] = value.to_le_bytes();
        Self(u64::from_le_bytes([bits, bits, run, run, 0, 0, low, high]))
    }

    /// Appends a second entry, whose value must fit into a byte.
    fn then(self, other: Self) -> Self {
        let mut bytes = self.0.to_le_bytes();
        bytes[0] += other.bits() as u8;
        bytes[3] += other.first_run() as u8;
        bytes[4] = other.first() as u8;
        Self(u64::from_le_bytes(bytes))
    }

    /// Returns whether the first coefficient does not fit into the lookup.
    #[inline(always)]
    pub(super) fn is_incomplete(self) -> bool {
        self.0 as u8 == 0
    }

    /// Returns the total number of bits.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 as u32 & 63
    }

    /// Returns the number of bits of the first coefficient.
    #[inline(always)]
    pub(super) fn first_bits(self) -> u32 {
        (self.0 >> 8) as u32 & 63
    }

    /// Returns the distance to the first coefficient; at least [`END`] at the end of the block.
    #[inline(always)]
    pub(super) fn first_run(self) -> usize {
        (self.0 >> 16) as usize & 255
    }

    /// Returns the distance to the second coefficient from the same place; `first_run` if there is none.
    #[inline(always)]
    pub(super) fn second_run(self) -> usize {
        (self.0 >> 24) as usize & 255
    }

    /// Returns the value of the first coefficient.
    #[inline(always)]
    pub(super) fn first(self) -> i16 {
        (self.0 >> 48) as i16
    }

    /// Returns the value of the second coefficient; 0 if there is none.
    #[inline(always)]
    pub(super) fn second(self) -> i16 {
        ((self.0 >> 32) as i8).into()
    }
}

/// A coefficient whose value has not been read yet.
#[derive(Debug, Clone, Copy, Default)]
struct Single {
    /// The bits of its code; 0 for an invalid one.
    code: u8,
    /// The bits of its value.
    extra: u8,
    /// The distance to it.
    run: u8,
}

/// The codes of AC coefficients.
#[derive(Debug)]
pub(super) struct AcTable {
    lookup: [Symbols; 1 << LOOK],
    long: LongCodes,
}

/// The codes of DC coefficients.
#[derive(Debug)]
pub(super) struct DcTable {
    /// The bits of code and value together, and the bits of the value; 0 for a code longer than the lookup.
    lookup: [[u8; 2]; 1 << LOOK],
    long: LongCodes,
}

impl AcTable {
    /// A table without codes.
    pub(super) const EMPTY: Self = Self { lookup: [Symbols(0); 1 << LOOK], long: LongCodes::EMPTY };

    /// Builds the table from 16 counts of codes and their symbols. After an error the table is invalid.
    pub(super) fn set(&mut self, spec: &[u8]) -> Result<()> {
        self.long.set(spec)?;
        let mut singles = [Single::default(); 1 << LOOK];
        for code in self.long.codes() {
            if code.symbol & 15 > 10 {
                return Err(Refusal::Unsupported); // more bits than an 8-bit image needs
            }
            if code.length <= LOOK {
                singles[code.lookups(LOOK)].fill(single(code.length, code.symbol));
            }
        }
        for (bits, entry) in self.lookup.iter_mut().enumerate() {
            *entry = pair(bits, &singles);
        }
        Ok(())
    }

    /// Looks up the next bits.
    #[inline(always)]
    pub(super) fn look(&self, bits: &Bits) -> Symbols {
        self.lookup[bits.peek(LOOK) as usize]
    }

    /// Returns the bits of the code, the bits of the value and the run of a coefficient that `look` found
    /// incomplete; `None` if the bits are not a code. The buffer must have at least 26 bits.
    #[inline(always)]
    pub(super) fn single(&self, symbols: Symbols, bits: &Bits) -> Option<(u32, u32, usize)> {
        let [_, code, extra, run, ..] = symbols.0.to_le_bytes();
        let single = if code == 0 { self.single_long(bits.peek(16))? } else { Single { code, extra, run } };
        Some((single.code.into(), single.extra.into(), single.run.into()))
    }

    #[cold]
    #[inline(never)]
    fn single_long(&self, next: u64) -> Option<Single> {
        self.long.find(next).map(|(length, value)| single(length, value))
    }
}

fn single(length: u32, symbol: u8) -> Single {
    let (run, size) = (symbol >> 4, symbol & 15);
    // Among symbols of size 0, only the end of the block and the run of 16 zeros are defined; libjpeg treats
    // the others as the end.
    let run = if size == 0 && run != 15 { END } else { run + 1 };
    Single { code: length as u8, extra: size, run }
}

/// Makes the entry for these bits: with the value if it fits, and with a second symbol if that fits too.
fn pair(bits: usize, singles: &[Single]) -> Symbols {
    let Some(first) = complete(bits, 0, singles) else {
        let Single { code, extra, run } = singles[bits];
        return Symbols::incomplete(code, extra, run);
    };
    if first.first_run() >= END.into() {
        return first;
    }
    match complete(bits, first.bits(), singles) {
        Some(second) if i8::try_from(second.first()).is_ok() => first.then(second),
        _ => first,
    }
}

/// Returns the symbol that begins after `skip` bits, with its value; `None` if they do not fit into the
/// lookup.
fn complete(bits: usize, skip: u32, singles: &[Single]) -> Option<Symbols> {
    let rest = (bits << skip) & ((1 << LOOK) - 1);
    let Single { code, extra, run } = singles[rest];
    if code == 0 || skip + u32::from(code + extra) > LOOK {
        return None;
    }
    let at_top = (rest as u64) << (64 - LOOK) << code;
    Some(Symbols::one(code + extra, run, extend(at_top, extra.into()) as i16))
}

impl DcTable {
    /// A table without codes.
    pub(super) const EMPTY: Self = Self { lookup: [[0; 2]; 1 << LOOK], long: LongCodes::EMPTY };

    /// Builds the table from 16 counts of codes and their symbols. After an error the table is invalid.
    pub(super) fn set(&mut self, spec: &[u8]) -> Result<()> {
        self.long.set(spec)?;
        self.lookup.fill([0; 2]);
        for code in self.long.codes() {
            if code.symbol > 11 {
                return Err(Refusal::Unsupported);
            }
            if code.length <= LOOK {
                self.lookup[code.lookups(LOOK)].fill([code.length as u8 + code.symbol, code.symbol]);
            }
        }
        Ok(())
    }

    /// Reads a difference of DC coefficients; `None` if the bits are not a code. The buffer must have at
    /// least 27 bits.
    #[inline(always)]
    pub(super) fn take(&self, bits: &mut Bits) -> Option<i32> {
        let [mut total, mut size] = self.lookup[bits.peek(LOOK) as usize];
        if total == 0 {
            let (length, symbol) = self.find(bits.peek(16))?;
            (total, size) = (length as u8 + symbol, symbol);
        }
        let value = extend(bits.after(u32::from(total - size)), size.into());
        bits.skip(total.into());
        Some(value)
    }

    #[cold]
    #[inline(never)]
    fn find(&self, next: u64) -> Option<(u32, u8)> {
        self.long.find(next)
    }
}

/// Decodes the number in `size` ≤ 15 bits at the top of a word (ISO 10918-1, figure F.12).
#[inline(always)]
pub(super) fn extend(at_top: u64, size: u32) -> i32 {
    let magnitude = ((at_top >> 1) >> (63 - size)) as i32;
    let is_low = !((at_top as i64 >> 63) as i32);
    magnitude + (is_low & ((-1i32 << size) + 1))
}

/// Codes of any length, decoded by comparison (ISO 10918-1, figure F.16).
#[derive(Debug)]
struct LongCodes {
    /// For each length the first 16 bits beyond its codes and all shorter ones.
    ends: [u32; 17],
    /// For each length the place of its first symbol minus its first code.
    offsets: [i32; 17],
    /// The symbols of all codes, shorter codes first; `lengths` has their lengths.
    symbols: [u8; 256],
    lengths: [u8; 256],
    count: usize,
}

/// A code and its symbol.
struct Code {
    bits: u32,
    length: u32,
    symbol: u8,
}

impl Code {
    /// Returns the lookups of `look` bits that begin with this code, which must not be longer.
    fn lookups(&self, look: u32) -> std::ops::Range<usize> {
        let free = look - self.length;
        (self.bits as usize) << free..(self.bits as usize + 1) << free
    }
}

impl LongCodes {
    const EMPTY: Self =
        Self { ends: [0; 17], offsets: [0; 17], symbols: [0; 256], lengths: [0; 256], count: 0 };

    fn set(&mut self, spec: &[u8]) -> Result<()> {
        let (counts, symbols) = spec.split_first_chunk::<16>().ok_or(Refusal::Damaged)?;
        self.symbols.get_mut(..symbols.len()).ok_or(Refusal::Damaged)?.copy_from_slice(symbols);
        self.count = 0;
        let mut code = 0u32;
        for (length, count) in (1..).zip(counts) {
            self.offsets[length] = self.count as i32 - code as i32;
            let end = self.count + usize::from(*count);
            self.lengths.get_mut(self.count..end).ok_or(Refusal::Damaged)?.fill(length as u8);
            self.count = end;
            code += u32::from(*count);
            if code >= 1 << length {
                return Err(Refusal::Damaged); // more codes than fit: a code of only ones is not allowed
            }
            self.ends[length] = code << (16 - length);
            code <<= 1;
        }
        if self.count == symbols.len() { Ok(()) } else { Err(Refusal::Damaged) }
    }

    fn codes(&self) -> impl Iterator<Item = Code> {
        self.lengths.iter().zip(&self.symbols).take(self.count).enumerate().map(|(at, (&length, &symbol))| {
            let bits = (at as i32 - self.offsets[usize::from(length)]) as u32;
            Code { bits, length: length.into(), symbol }
        })
    }

    /// Returns length and symbol of the code at the beginning of 16 bits.
    fn find(&self, next: u64) -> Option<(u32, u8)> {
        let next = next as u32;
        let length = (1..=16).find(|&length| next < self.ends[length as usize])?;
        let at = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((length, *self.symbols[..self.count].get(usize::try_from(at).ok()?)?))
    }
}
