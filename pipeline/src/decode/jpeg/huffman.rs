//! Huffman codes as lookup tables, one or two symbols a lookup.

use super::{
    bits::Bits,
    refusal::{Refusal, Result},
};

/// Bits that a lookup sees.
const LOOK: u32 = 10;

/// A run that ends the block, whatever came before it.
pub(super) const END: u8 = 128;

/// What the next bits of a block mean: one AC coefficient, or two where both fit into a lookup with their values.
///
/// A word, so that it stays in a register: from the lowest byte on the bits in all, those of the first coefficient, its
/// run, the run of the second one counted from the same place (that of the first where there is none), the value of the
/// second one, an unused byte, and in two bytes the value of the first.
///
/// Where not even the first coefficient fits, the bits in all are 0, and the bytes after it hold those of its code, those
/// of its value, and its run; all are 0 for a code that is longer than the lookup.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Symbols(u64);

impl Symbols {
    fn incomplete(code: u8, extra: u8, run: u8) -> Self {
        Self(u64::from_le_bytes([0, code, extra, run, 0, 0, 0, 0]))
    }

    /// A single coefficient.
    fn one(bits: u8, run: u8, value: i16) -> Self {
        let [low, high] = value.to_le_bytes();
        Self(u64::from_le_bytes([bits, bits, run, run, 0, 0, low, high]))
    }

    /// This one, and behind it `other`, whose value fits into a byte.
    fn then(self, other: Self) -> Self {
        let mut bytes = self.0.to_le_bytes();
        bytes[0] += other.bits() as u8;
        bytes[3] += other.first_run() as u8;
        bytes[4] = other.first() as u8;
        Self(u64::from_le_bytes(bytes))
    }

    /// Whether the first coefficient lies within the lookup in part only.
    #[inline(always)]
    pub(super) fn is_incomplete(self) -> bool {
        self.0 as u8 == 0
    }

    /// Bits in all.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 as u32 & 63
    }

    /// Bits of the first coefficient.
    #[inline(always)]
    pub(super) fn first_bits(self) -> u32 {
        (self.0 >> 8) as u32 & 63
    }

    /// How far the first coefficient lies ahead; at least [`END`] where the block ends.
    #[inline(always)]
    pub(super) fn first_run(self) -> usize {
        (self.0 >> 16) as usize & 255
    }

    /// How far the second one lies ahead, from the same place. As `first_run` where there is none.
    #[inline(always)]
    pub(super) fn second_run(self) -> usize {
        (self.0 >> 24) as usize & 255
    }

    /// The first coefficient.
    #[inline(always)]
    pub(super) fn first(self) -> i16 {
        (self.0 >> 48) as i16
    }

    /// The second coefficient; 0 where there is none.
    #[inline(always)]
    pub(super) fn second(self) -> i16 {
        ((self.0 >> 32) as i8).into()
    }
}

/// A coefficient whose value is still to be read.
#[derive(Debug, Clone, Copy, Default)]
struct Single {
    /// Bits of its code; 0 for none.
    code: u8,
    /// Bits of its value.
    extra: u8,
    /// How far it lies ahead.
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
    /// Bits of code and value together, and bits of the value; 0 for a code that is longer than the lookup.
    lookup: [[u8; 2]; 1 << LOOK],
    long: LongCodes,
}

impl AcTable {
    /// The table that no bits are a code of.
    pub(super) const EMPTY: Self = Self { lookup: [Symbols(0); 1 << LOOK], long: LongCodes::EMPTY };

    /// Becomes the table for 16 counts of codes and their symbols. Of no use after an error.
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

    /// What the next bits mean.
    #[inline(always)]
    pub(super) fn look(&self, bits: &Bits) -> Symbols {
        self.lookup[bits.peek(LOOK) as usize]
    }

    /// Of a coefficient that `look` found incomplete the bits of its code, those of its value, and its run; none where
    /// the bits are no code. At least 26 bits must be there.
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
    // Of size 0, only the end of the block and the run of 16 zeros mean something; libjpeg takes the others for the end.
    let run = if size == 0 && run != 15 { END } else { run + 1 };
    Single { code: length as u8, extra: size, run }
}

/// The entry for a lookup of these bits: values that lie within it are taken out, a second symbol is joined.
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

/// The symbol `skip` bits on, with its value taken out; none where it does not lie within the lookup.
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
    /// The table that no bits are a code of.
    pub(super) const EMPTY: Self = Self { lookup: [[0; 2]; 1 << LOOK], long: LongCodes::EMPTY };

    /// Becomes the table for 16 counts of codes and their symbols. Of no use after an error.
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

    /// Takes a difference of DC coefficients; none where the bits are no code. At least 27 bits must be there.
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

/// The number that `size` bits at the top of a word stand for (ISO 10918-1, figure F.12); `size` is at most 15.
#[inline(always)]
pub(super) fn extend(at_top: u64, size: u32) -> i32 {
    let magnitude = ((at_top >> 1) >> (63 - size)) as i32;
    let is_low = !((at_top as i64 >> 63) as i32);
    magnitude + (is_low & ((-1i32 << size) + 1))
}

/// Codes of any length by comparison (ISO 10918-1, figure F.16).
#[derive(Debug)]
struct LongCodes {
    /// For each length the first 16 bits that are beyond its codes, and beyond all shorter ones.
    ends: [u32; 17],
    /// For each length the place of its first symbol, less its first code.
    offsets: [i32; 17],
    /// As many as there are codes, shorter ones first; likewise their lengths.
    symbols: [u8; 256],
    lengths: [u8; 256],
    count: usize,
}

/// A code and what it stands for.
struct Code {
    bits: u32,
    length: u32,
    symbol: u8,
}

impl Code {
    /// The lookups that begin with this code, of at most `look` bits.
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
                return Err(Refusal::Damaged); // more codes than there are: that of ones alone is none
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

    /// Length and symbol of the code that 16 bits begin with.
    fn find(&self, next: u64) -> Option<(u32, u8)> {
        let next = next as u32;
        let length = (1..=16).find(|&length| next < self.ends[length as usize])?;
        let at = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((length, *self.symbols[..self.count].get(usize::try_from(at).ok()?)?))
    }
}
