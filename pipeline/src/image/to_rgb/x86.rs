//! The conversion in vector registers.

#![expect(unsafe_code, reason = "vector instructions, loads and stores")]
#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "intrinsics, whose names tell their origin")
)]

use std::arch::x86_64::*;

use super::block::{Block, LANES, each_block, each_in_place};
use crate::cpu::Avx2;

pub(super) fn convert_quads(
    _cpu: Avx2,
    luma: [&[u8]; 2],
    blue: [&[i16]; 2],
    red: [&[i16]; 2],
    out: [&mut [u8]; 3],
) {
    #[target_feature(enable = "avx2")]
    fn run(luma: [&[u8]; 2], blue: [&[i16]; 2], red: [&[i16]; 2], out: [&mut [u8]; 3]) {
        each_block(luma, blue, red, out, |block| quads(block));
    }
    // SAFETY: a value of `Avx2` only exists if the CPU has it.
    unsafe { run(luma, blue, red, out) }
}

pub(super) fn convert_in_place(_cpu: Avx2, luma: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    fn run(luma: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
        each_in_place(luma, blue, red, |luma, blue, red| pixels(luma, blue, red));
    }
    // SAFETY: a value of `Avx2` only exists if the CPU has it.
    unsafe { run(luma, blue, red) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn widen(values: &[u8; LANES]) -> __m256i {
    // SAFETY: the array has 16 bytes, and the load needs no alignment.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn pixels(luma: &[u8; LANES], blue: &[u8; LANES], red: &[u8; LANES]) -> [[u8; LANES]; 3] {
    let middle = _mm256_set1_epi16(128);
    let colours =
        rgb(widen(luma), _mm256_sub_epi16(widen(blue), middle), _mm256_sub_epi16(widen(red), middle));
    let mut out = [[0; LANES]; 3];
    for (out, colour) in out.iter_mut().zip(colours) {
        // Packing both halves with themselves puts the result into the first and the third quarter.
        let bytes = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(colour, colour));
        // SAFETY: the array has 16 bytes, and the store needs no alignment.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm256_castsi256_si128(bytes)) };
    }
    out
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i16; LANES]) -> __m256i {
    // SAFETY: the array has 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn quads(block: &Block) -> [[u8; 4 * LANES]; 3] {
    // The three colours of each pixel of two rows and two columns, as 16-bit numbers.
    let mut pixels = [[_mm256_setzero_si256(); 3]; 4];
    for column in 0..2 {
        // SAFETY: the array has 32 bytes, and the load needs no alignment.
        let luma = unsafe { _mm256_loadu_si256(block.luma[column].as_ptr().cast()) };
        let luma = [_mm256_and_si256(luma, _mm256_set1_epi16(255)), _mm256_srli_epi16::<8>(luma)];
        for row in 0..2 {
            let blue = between_rows(block.blue[column], row, column);
            let red = between_rows(block.red[column], row, column);
            pixels[2 * row + column] = rgb(luma[row], blue, red);
        }
    }
    let mut out = [[0; 4 * LANES]; 3];
    for (colour, out) in out.iter_mut().enumerate() {
        let (a, b, c, d) = (pixels[0][colour], pixels[1][colour], pixels[2][colour], pixels[3][colour]);
        // Bytes of 8 rows in either half: the first and the third pixel, and the second and the fourth.
        let (ac, bd) = (_mm256_packus_epi16(a, c), _mm256_packus_epi16(b, d));
        let (ab, cd) = (_mm256_unpacklo_epi8(ac, bd), _mm256_unpackhi_epi8(ac, bd));
        let (low, high) = (_mm256_unpacklo_epi16(ab, cd), _mm256_unpackhi_epi16(ab, cd));
        let halves =
            [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)];
        for (half, out) in halves.into_iter().zip(out.as_chunks_mut::<32>().0) {
            // SAFETY: the chunk has 32 bytes, and the store needs no alignment.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), half) };
        }
    }
    out
}

#[inline]
#[target_feature(enable = "avx2")]
fn between_rows(between: &[i16; LANES + 2], row: usize, column: usize) -> __m256i {
    let near = load(between[1..].first_chunk().expect("there are two values more than lanes"));
    let far = load(between[2 * row..].first_chunk().expect("there are two values more than lanes"));
    let sum = _mm256_add_epi16(_mm256_add_epi16(near, far), _mm256_add_epi16(near, near));
    let sum = _mm256_add_epi16(sum, _mm256_set1_epi16(8 - column as i16));
    _mm256_sub_epi16(_mm256_srai_epi16::<4>(sum), _mm256_set1_epi16(128))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rgb(luma: __m256i, blue: __m256i, red: __m256i) -> [__m256i; 3] {
    let (twice_blue, twice_red) = (_mm256_add_epi16(blue, blue), _mm256_add_epi16(red, red));
    let factors = _mm256_set1_epi32((-22_554 + 0x1_0000) | (18_734 << 16));
    let half = _mm256_set1_epi32(32_768);
    let low = _mm256_madd_epi16(_mm256_unpacklo_epi16(blue, red), factors);
    let high = _mm256_madd_epi16(_mm256_unpackhi_epi16(blue, red), factors);
    let low = _mm256_srai_epi32::<16>(_mm256_add_epi32(low, half));
    let high = _mm256_srai_epi32::<16>(_mm256_add_epi32(high, half));
    [
        _mm256_add_epi16(_mm256_add_epi16(luma, red), part(twice_red, 26_345)),
        _mm256_add_epi16(_mm256_sub_epi16(luma, red), _mm256_packs_epi32(low, high)),
        _mm256_add_epi16(_mm256_add_epi16(luma, twice_blue), part(twice_blue, -14_942)),
    ]
}

/// Multiplies a number, given doubled, by a factor below ½ in magnitude.
#[inline]
#[target_feature(enable = "avx2")]
fn part(twice: __m256i, factor: i16) -> __m256i {
    let high = _mm256_mulhi_epi16(twice, _mm256_set1_epi16(factor));
    _mm256_srai_epi16::<1>(_mm256_add_epi16(high, _mm256_set1_epi16(1)))
}
