//! The transform in vector registers: each 128-bit lane holds a row of eight coefficients of one block.
//!
//! Two blocks with AVX2 and four with AVX-512 use the same source over registers of another width: no
//! instruction here crosses a lane.

#![expect(unsafe_code, reason = "vector instructions, loads and stores")]
#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "intrinsics, whose names tell their origin")
)]

use std::arch::x86_64::*;

use crate::cpu::{Avx2, Avx512};

use super::{
    portable,
    transform::{Idct, PAIRS, PASS_BITS, Place, Quantization, SHIFTS},
};
use crate::decode::jpeg::entropy::Block;

impl Idct for Avx2 {
    const BLOCKS: usize = 2;

    #[inline(always)]
    fn run(
        self,
        blocks: &[Block; 4],
        places: &[Place; 4],
        quantization: &[&Quantization; 3],
        data: &mut [u8],
    ) {
        // SAFETY: a value of `Avx2` only exists if the CPU has the features of the function.
        unsafe { avx2::run(blocks, places, quantization, data) }
    }
}

impl Idct for Avx512 {
    const BLOCKS: usize = 4;

    #[inline(always)]
    fn run(
        self,
        blocks: &[Block; 4],
        places: &[Place; 4],
        quantization: &[&Quantization; 3],
        data: &mut [u8],
    ) {
        // SAFETY: a value of `Avx512` only exists if the CPU has the features of the function.
        unsafe { avx512::run(blocks, places, quantization, data) }
    }
}

/// Loads row `y` of a block of at least 64 numbers into a lane.
#[inline]
#[target_feature(enable = "avx2")]
fn row(block: &[i16], y: usize) -> __m128i {
    let row = &block[8 * y..8 * y + 8];
    // SAFETY: the slice is 16 bytes long, and the load needs no alignment.
    unsafe { _mm_loadu_si128(row.as_ptr().cast()) }
}

/// Stores the two columns of samples in a lane as columns `x` and `x + 1` of their block.
#[inline]
#[target_feature(enable = "avx2")]
fn store(columns: __m128i, x: usize, place: &Place, data: &mut [u8]) {
    let at = place.at + x * place.stride;
    let (first, second) = (_mm_cvtsi128_si64(columns), _mm_extract_epi64::<1>(columns));
    data[at..at + 8].copy_from_slice(&first.to_le_bytes());
    data[at + place.stride..at + place.stride + 8].copy_from_slice(&second.to_le_bytes());
}

/// Numbers of the first row are tame from −`TAME` up to, but not including, `TAME`.
const TAME: i16 = 1 << (15 - PASS_BITS);

/// Transforms blocks of which at least one has coefficients that no real image has.
#[cold]
#[inline(never)]
fn absurd(blocks: &[Block], places: &[Place; 4], quantization: &[&Quantization; 3], data: &mut [u8]) {
    for (block, place) in blocks.iter().zip(places) {
        portable::run(block, place, quantization, data);
    }
}

/// Defines the transform for one kind of register.
macro_rules! transform {
    (
        $name:ident, $features:literal, $lanes:literal, $register:ty, $gather:ident, $scatter:ident,
        $is_tame:ident, $set1_32:ident, $set1_8:ident, $zero:ident, $add16:ident, $sub16:ident, $mul16:ident, $dot:ident,
        $add32:ident, $sub32:ident, $shift32:ident, $pack32:ident, $pack16:ident, $add8:ident,
        $low16:ident, $high16:ident, $low32:ident, $high32:ident, $low64:ident, $high64:ident
    ) => {
        mod $name {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn run(
                blocks: &[Block; 4],
                places: &[Place; 4],
                quantization: &[&Quantization; 3],
                data: &mut [u8],
            ) {
                let mut rows = [$zero(); 8];
                for (y, rows) in rows.iter_mut().enumerate() {
                    let coefficients = $gather(|lane| row(&blocks[lane].0, y));
                    let factors = $gather(|lane| row(&quantization[places[lane].component].0, y));
                    *rows = $mul16(coefficients, factors);
                }
                if !$is_tame(rows[0]) {
                    return absurd(&blocks[..$lanes], places, quantization, data);
                }
                let columns = pass::<{ SHIFTS[1] }>(transpose(pass::<{ SHIFTS[0] }>(rows)));
                let middle = $set1_8(-128);
                for x in [0, 2, 4, 6] {
                    let samples = $add8($pack16(columns[x], columns[x + 1]), middle);
                    $scatter(samples, |lane, columns| store(columns, x, &places[lane], data));
                }
            }

            /// Transforms the eight values at each place of eight registers, for half of the places.
            #[inline]
            #[target_feature(enable = $features)]
            fn half<const SHIFT: u32>(
                pairs: [$register; 4],
                sum: $register,
                difference: $register,
            ) -> [$register; 8] {
                let factors = |pair: usize| $set1_32((PAIRS[pair].0 & 0xFFFF) | (PAIRS[pair].1 << 16));
                let [of_2_and_6, of_73_and_51, of_7_and_1, of_5_and_3] = pairs;
                let (t3, t2) = ($dot(of_2_and_6, factors(0)), $dot(of_2_and_6, factors(1)));
                // The sums are in the upper halves of 32 bits, shifted left by 16, which should be 13.
                let round = $set1_32(1 << (SHIFT - 1));
                let t0 = $add32($shift32::<3>(sum), round);
                let t1 = $add32($shift32::<3>(difference), round);
                let even = [$add32(t0, t3), $add32(t1, t2), $sub32(t1, t2), $sub32(t0, t3)];
                let (z3, z4) = ($dot(of_73_and_51, factors(2)), $dot(of_73_and_51, factors(3)));
                let odd = [
                    $add32($dot(of_7_and_1, factors(5)), z4),
                    $add32($dot(of_5_and_3, factors(7)), z3),
                    $add32($dot(of_5_and_3, factors(6)), z4),
                    $add32($dot(of_7_and_1, factors(4)), z3),
                ];
                [
                    $shift32::<SHIFT>($add32(even[0], odd[0])),
                    $shift32::<SHIFT>($add32(even[1], odd[1])),
                    $shift32::<SHIFT>($add32(even[2], odd[2])),
                    $shift32::<SHIFT>($add32(even[3], odd[3])),
                    $shift32::<SHIFT>($sub32(even[3], odd[3])),
                    $shift32::<SHIFT>($sub32(even[2], odd[2])),
                    $shift32::<SHIFT>($sub32(even[1], odd[1])),
                    $shift32::<SHIFT>($sub32(even[0], odd[0])),
                ]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn pass<const SHIFT: u32>(v: [$register; 8]) -> [$register; 8] {
                let (sum, difference) = ($add16(v[0], v[4]), $sub16(v[0], v[4]));
                let (a, b) = ($add16(v[7], v[3]), $add16(v[5], v[1]));
                let zero = $zero();
                let low = half::<SHIFT>(
                    [$low16(v[2], v[6]), $low16(a, b), $low16(v[7], v[1]), $low16(v[5], v[3])],
                    $low16(zero, sum),
                    $low16(zero, difference),
                );
                let high = half::<SHIFT>(
                    [$high16(v[2], v[6]), $high16(a, b), $high16(v[7], v[1]), $high16(v[5], v[3])],
                    $high16(zero, sum),
                    $high16(zero, difference),
                );
                [
                    $pack32(low[0], high[0]),
                    $pack32(low[1], high[1]),
                    $pack32(low[2], high[2]),
                    $pack32(low[3], high[3]),
                    $pack32(low[4], high[4]),
                    $pack32(low[5], high[5]),
                    $pack32(low[6], high[6]),
                    $pack32(low[7], high[7]),
                ]
            }

            /// Transposes rows to columns within each lane.
            #[inline]
            #[target_feature(enable = $features)]
            fn transpose(v: [$register; 8]) -> [$register; 8] {
                let a = [
                    [$low16(v[0], v[1]), $low16(v[2], v[3]), $low16(v[4], v[5]), $low16(v[6], v[7])],
                    [$high16(v[0], v[1]), $high16(v[2], v[3]), $high16(v[4], v[5]), $high16(v[6], v[7])],
                ];
                let b = [
                    [$low32(a[0][0], a[0][1]), $low32(a[0][2], a[0][3])],
                    [$high32(a[0][0], a[0][1]), $high32(a[0][2], a[0][3])],
                    [$low32(a[1][0], a[1][1]), $low32(a[1][2], a[1][3])],
                    [$high32(a[1][0], a[1][1]), $high32(a[1][2], a[1][3])],
                ];
                [
                    $low64(b[0][0], b[0][1]),
                    $high64(b[0][0], b[0][1]),
                    $low64(b[1][0], b[1][1]),
                    $high64(b[1][0], b[1][1]),
                    $low64(b[2][0], b[2][1]),
                    $high64(b[2][0], b[2][1]),
                    $low64(b[3][0], b[3][1]),
                    $high64(b[3][0], b[3][1]),
                ]
            }
        }
    };
}

#[inline]
#[target_feature(enable = "avx2")]
fn gather2(lane: impl Fn(usize) -> __m128i) -> __m256i {
    _mm256_set_m128i(lane(1), lane(0))
}

#[inline]
#[target_feature(enable = "avx2")]
fn scatter2(lanes: __m256i, mut lane: impl FnMut(usize, __m128i)) {
    lane(0, _mm256_castsi256_si128(lanes));
    lane(1, _mm256_extracti128_si256::<1>(lanes));
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn gather4(lane: impl Fn(usize) -> __m128i) -> __m512i {
    let (low, high) = (gather2(&lane), gather2(|i| lane(2 + i)));
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn scatter4(lanes: __m512i, mut lane: impl FnMut(usize, __m128i)) {
    scatter2(_mm512_castsi512_si256(lanes), &mut lane);
    scatter2(_mm512_extracti64x4_epi64::<1>(lanes), |i, columns| lane(2 + i, columns));
}

/// Returns whether the first pass cannot exceed 16 bits for a block without other rows.
#[inline]
#[target_feature(enable = "avx2")]
fn is_tame2(row: __m256i) -> bool {
    let from_zero = _mm256_add_epi16(row, _mm256_set1_epi16(TAME));
    _mm256_testz_si256(from_zero, _mm256_set1_epi16(!(2 * TAME - 1))) != 0
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn is_tame4(row: __m512i) -> bool {
    let from_zero = _mm512_add_epi16(row, _mm512_set1_epi16(TAME));
    _mm512_test_epi16_mask(from_zero, _mm512_set1_epi16(!(2 * TAME - 1))) == 0
}

// The shift counts of AVX2's instructions are signed, those of AVX-512 are not.
#[inline]
#[target_feature(enable = "avx2")]
fn shift_right_256<const SHIFT: u32>(a: __m256i) -> __m256i {
    _mm256_sra_epi32(a, _mm_cvtsi32_si128(SHIFT as i32))
}

transform!(
    avx2,
    "avx2",
    2,
    __m256i,
    gather2,
    scatter2,
    is_tame2,
    _mm256_set1_epi32,
    _mm256_set1_epi8,
    _mm256_setzero_si256,
    _mm256_add_epi16,
    _mm256_sub_epi16,
    _mm256_mullo_epi16,
    _mm256_madd_epi16,
    _mm256_add_epi32,
    _mm256_sub_epi32,
    shift_right_256,
    _mm256_packs_epi32,
    _mm256_packs_epi16,
    _mm256_add_epi8,
    _mm256_unpacklo_epi16,
    _mm256_unpackhi_epi16,
    _mm256_unpacklo_epi32,
    _mm256_unpackhi_epi32,
    _mm256_unpacklo_epi64,
    _mm256_unpackhi_epi64
);

transform!(
    avx512,
    "avx2,avx512f,avx512bw,avx512dq,avx512vl",
    4,
    __m512i,
    gather4,
    scatter4,
    is_tame4,
    _mm512_set1_epi32,
    _mm512_set1_epi8,
    _mm512_setzero_si512,
    _mm512_add_epi16,
    _mm512_sub_epi16,
    _mm512_mullo_epi16,
    _mm512_madd_epi16,
    _mm512_add_epi32,
    _mm512_sub_epi32,
    _mm512_srai_epi32,
    _mm512_packs_epi32,
    _mm512_packs_epi16,
    _mm512_add_epi8,
    _mm512_unpacklo_epi16,
    _mm512_unpackhi_epi16,
    _mm512_unpacklo_epi32,
    _mm512_unpackhi_epi32,
    _mm512_unpacklo_epi64,
    _mm512_unpackhi_epi64
);
