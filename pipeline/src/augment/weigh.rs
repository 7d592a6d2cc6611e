//! Weighted sums of lines: both passes of resizing.
//!
//! A *line* is a column of an image, or a row; its *lanes* are the pixels along it. Lines are stored in
//! pairs, with the bytes of both next to each other, because CPUs multiply and add 16-bit numbers in pairs.
//! Pillow's weights with 22 fractional bits do not fit into 16 bits: their upper and lower bits are summed
//! separately, which is exact.

use crate::Cpu;

use super::axis::PRECISION;

/// The number of lanes that are summed side by side.
pub(crate) const LANES: usize = 32;

/// The bits of an exact weight in its lower part.
const LOWER: u32 = 11;
/// The fractional bits of a rounded weight.
const ROUNDED: u32 = 14;

/// The weights of two neighbouring lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
struct Pair {
    upper: [i16; 2],
    lower: [i16; 2],
}

/// The pairs of lines that each output line reads, and their weights.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// For each output line the first pair, and the place of its first weights in `pairs`.
    spans: Vec<(u32, u32)>,
    pairs: Vec<Pair>,
}

impl Taps {
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.pairs.clear();
    }

    /// Appends an output line, with the weights (22 fractional bits) of the lines from `start` on.
    pub(crate) fn push_exact(&mut self, start: usize, weights: &[i32]) {
        self.push(start, weights.len(), |i| {
            let weight = weights[i];
            ((weight >> LOWER) as i16, (weight & ((1 << LOWER) - 1)) as i16)
        });
    }

    /// Appends an output line whose weights are rounded to 14 fractional bits such that their sum stays 1.
    pub(crate) fn push_rounded(&mut self, start: usize, weights: &[i32]) {
        const CUT: u32 = PRECISION - ROUNDED;
        let mut missing = 1 << ROUNDED;
        self.push(start, weights.len(), |i| {
            let weight = (weights[i] + (1 << (CUT - 1))) >> CUT;
            missing -= weight;
            (weight as i16, 0)
        });
        // The rounding error goes to the middle weight, which is large.
        let (middle, first) =
            (start % 2 + weights.len() / 2, self.spans.last().map_or(0, |&(_, first)| first));
        self.pairs[first as usize + middle / 2].upper[middle % 2] += missing as i16;
    }

    #[inline(always)]
    fn push(&mut self, start: usize, count: usize, mut weight: impl FnMut(usize) -> (i16, i16)) {
        self.spans.push(((start / 2) as u32, self.pairs.len() as u32));
        let mut i = 0;
        let mut next = || {
            let (upper, lower) = if i < count { weight(i) } else { (0, 0) };
            i += 1;
            (upper, lower)
        };
        let pair = |(first, second): ((i16, i16), (i16, i16))| Pair {
            upper: [first.0, second.0],
            lower: [first.1, second.1],
        };
        if start % 2 == 1 {
            self.pairs.push(pair(((0, 0), next())));
        }
        for _ in 0..(count - start % 2).div_ceil(2) {
            self.pairs.push(pair((next(), next())));
        }
    }

    /// Returns the number of output lines.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the first pair of lines that output line `number` reads, and the weights of all its pairs.
    #[inline(always)]
    fn of(&self, number: usize) -> (usize, &[Pair]) {
        let (first, start) = self.spans[number];
        let end = self.spans.get(number + 1).map_or(self.pairs.len(), |&(_, start)| start as usize);
        (first as usize, &self.pairs[start as usize..end])
    }
}

/// Pairs of lines in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a> {
    /// The bytes from the first lane of the first pair on, readable up to the next multiple of [`LANES`]
    /// lanes.
    pub(crate) bytes: &'a [u8],
    /// The distance in bytes from one pair to the next.
    pub(crate) pitch: usize,
    /// The number of lanes that are used.
    pub(crate) lanes: usize,
}

/// Writes the sums of all output lines, `pitch` bytes apart. `EXACT` selects taps of `push_exact` or
/// `push_rounded`.
pub(crate) fn weigh<const EXACT: bool>(cpu: Cpu, lines: Lines, taps: &Taps, out: &mut [u8], pitch: usize) {
    match cpu {
        Cpu::Portable => each_block(lines, taps, out, pitch, portable::<EXACT>),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => x86::avx2::weigh::<EXACT>(cpu, lines, taps, out, pitch),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => x86::avx512::weigh::<EXACT>(cpu, lines, taps, out, pitch),
    }
}

/// Calls `sum` for each output line and each block of lanes.
#[inline(always)]
fn each_block(
    lines: Lines,
    taps: &Taps,
    out: &mut [u8],
    pitch: usize,
    sum: impl Fn(&[u8], usize, &[Pair]) -> [u8; LANES],
) {
    for (number, out) in out.chunks_mut(pitch).enumerate().take(taps.len()) {
        let (first, pairs) = taps.of(number);
        let bytes = &lines.bytes[first * lines.pitch..];
        // Full blocks apart from the rest, so that each is one store instead of a copy of variable length.
        let (blocks, rest) = out[..lines.lanes].as_chunks_mut();
        let bytes_of = |block: usize| &bytes[2 * LANES * block..];
        let full = blocks.len();
        for (block, out) in blocks.iter_mut().enumerate() {
            *out = sum(bytes_of(block), lines.pitch, pairs);
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&sum(bytes_of(full), lines.pitch, pairs)[..rest.len()]);
        }
    }
}

/// Computes the sums of 32 lanes.
fn portable<const EXACT: bool>(bytes: &[u8], pitch: usize, pairs: &[Pair]) -> [u8; LANES] {
    let (mut upper, mut lower) = ([0i32; LANES], [0i32; LANES]);
    for (number, pair) in pairs.iter().enumerate() {
        let line = &bytes[number * pitch..][..2 * LANES];
        for (lane, &[a, b]) in line.as_chunks::<2>().0.iter().enumerate() {
            let dot = |weights: [i16; 2]| {
                i32::from(a) * i32::from(weights[0]) + i32::from(b) * i32::from(weights[1])
            };
            // Partial sums of the lower parts of very many weights may overflow 32 bits; the final sum of
            // both parts fits.
            upper[lane] = dot(pair.upper).wrapping_add(upper[lane]);
            lower[lane] = dot(pair.lower).wrapping_add(lower[lane]);
        }
    }
    std::array::from_fn(|lane| {
        let sum = if EXACT {
            (upper[lane] << LOWER).wrapping_add(lower[lane]).wrapping_add(1 << (PRECISION - 1)) >> PRECISION
        } else {
            (upper[lane] + (1 << (ROUNDED - 1))) >> ROUNDED
        };
        sum.clamp(0, 255) as u8
    })
}

/// The sums with vector instructions.
#[cfg(target_arch = "x86_64")]
mod x86 {
    #![expect(unsafe_code, reason = "vector instructions, loads and stores")]
    #![cfg_attr(
        not(test),
        expect(clippy::wildcard_imports, reason = "intrinsics, whose names tell their origin")
    )]

    use std::arch::x86_64::*;

    use super::{LANES, LOWER, Lines, PRECISION, Pair, ROUNDED, Taps, each_block};
    use crate::cpu::{Avx2, Avx512};

    /// Packs two weights into the number that is copied to all places of a register.
    #[inline(always)]
    fn word([first, second]: [i16; 2]) -> i32 {
        i32::from(first) & 0xFFFF | i32::from(second) << 16
    }

    /// Defines the sums for one kind of register: `$count` of them hold the 32-bit sums of all lanes.
    macro_rules! sums {
        (
            $name:ident, $cpu:ty, $features:literal, $count:literal, $bytes:literal,
            $load:ident, $widen:ident, $zero:ident, $set1:ident, $add:ident, $dot:ident,
            $left:ident, $right:ident, $shift:ty, $pack:ident
        ) => {
            pub(super) mod $name {
                use super::*;

                pub(in super::super) fn weigh<const EXACT: bool>(
                    _cpu: $cpu,
                    lines: Lines,
                    taps: &Taps,
                    out: &mut [u8],
                    pitch: usize,
                ) {
                    #[target_feature(enable = $features)]
                    fn run<const EXACT: bool>(lines: Lines, taps: &Taps, out: &mut [u8], pitch: usize) {
                        each_block(lines, taps, out, pitch, |bytes, pitch, pairs| {
                            sums::<EXACT>(bytes, pitch, pairs)
                        });
                    }
                    // SAFETY: a value of the CPU's type only exists if the CPU has the features.
                    unsafe { run::<EXACT>(lines, taps, out, pitch) }
                }

                #[inline]
                #[target_feature(enable = $features)]
                fn sums<const EXACT: bool>(bytes: &[u8], pitch: usize, pairs: &[Pair]) -> [u8; LANES] {
                    let (mut upper, mut lower) = ([$zero(); $count], [$zero(); $count]);
                    for (number, pair) in pairs.iter().enumerate() {
                        let line: &[u8; 2 * LANES] = bytes[number * pitch..]
                            .first_chunk()
                            .expect("whole blocks of lanes are readable");
                        let weights = [$set1(word(pair.upper)), $set1(word(pair.lower))];
                        for (i, bytes) in line.as_chunks::<$bytes>().0.iter().enumerate() {
                            // SAFETY: the array is as long as the load, which needs no alignment.
                            let pixels = $widen(unsafe { $load(bytes.as_ptr().cast()) });
                            upper[i] = $add(upper[i], $dot(pixels, weights[0]));
                            if EXACT {
                                lower[i] = $add(lower[i], $dot(pixels, weights[1]));
                            }
                        }
                    }
                    let mut sums = [$zero(); $count];
                    for i in 0..$count {
                        sums[i] = if EXACT {
                            let sum = $add($left::<{ LOWER as $shift }>(upper[i]), lower[i]);
                            $right::<{ PRECISION as $shift }>($add(sum, $set1(1 << (PRECISION - 1))))
                        } else {
                            $right::<{ ROUNDED as $shift }>($add(upper[i], $set1(1 << (ROUNDED - 1))))
                        };
                    }
                    $pack(sums)
                }
            }
        };
    }

    // The shift counts of AVX2's instructions are signed, those of AVX-512 are not.
    sums!(
        avx2,
        Avx2,
        "avx2",
        4,
        16,
        _mm_loadu_si128,
        _mm256_cvtepu8_epi16,
        _mm256_setzero_si256,
        _mm256_set1_epi32,
        _mm256_add_epi32,
        _mm256_madd_epi16,
        _mm256_slli_epi32,
        _mm256_srai_epi32,
        i32,
        pack4
    );

    sums!(
        avx512,
        Avx512,
        "avx2,avx512f,avx512bw",
        2,
        32,
        _mm256_loadu_si256,
        _mm512_cvtepu8_epi16,
        _mm512_setzero_si512,
        _mm512_set1_epi32,
        _mm512_add_epi32,
        _mm512_madd_epi16,
        _mm512_slli_epi32,
        _mm512_srai_epi32,
        u32,
        pack2
    );

    /// Clips sums to bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pack4(sums: [__m256i; 4]) -> [u8; LANES] {
        // Packing works within 128-bit halves: groups of four lanes come out in the order 0, 2, 4, 6, 1, 3,
        // 5, 7.
        let words = [_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3])];
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        let bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words[0], words[1]), order);
        let mut out = [0; LANES];
        // SAFETY: the store writes 32 bytes to an array of 32, and needs no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) };
        out
    }

    /// Clips sums to bytes.
    #[inline]
    #[target_feature(enable = "avx2,avx512f,avx512bw")]
    fn pack2(sums: [__m512i; 2]) -> [u8; LANES] {
        let mut out = [0; LANES];
        for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<16>().0) {
            let bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(sum, _mm512_setzero_si512()));
            // SAFETY: the store writes 16 bytes to an array of 16, and needs no alignment.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) };
        }
        out
    }
}
