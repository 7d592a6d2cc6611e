//! Luma and chroma → red, green and blue, as libjpeg-turbo computes them, to the bit.
//!
//! Halved chroma is interpolated by triangles ("fancy upsampling": three parts of the nearer sample, one of the further
//! one), rounded once; then the matrix of JFIF, in 16-bit fixed point.

#![expect(
    clippy::inline_always,
    reason = "loops take the CPU features of the function that they are inlined into"
)]

use crate::{
    cpu::{Cpu, versions},
    jpeg::{Header, Planes, Sampling},
};

/// Converts an image pair of columns by pair of columns, keeping its memory.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    cpu: Cpu,
    sampling: Option<Sampling>,
    top: usize,
    rows: usize,
    /// Chroma between columns, four times too large, with a row above and one below: blue of the first and of the second
    /// column, and red.
    between: [Vec<i16>; 4],
    /// Whole columns of chroma: blue of the first and of the second column, and red.
    whole: [Vec<u8>; 4],
}

impl Converter {
    /// A converter that uses these instructions.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Begins with another image, of which so many rows from `top` on are wanted. `top` must be even.
    pub(crate) fn start(&mut self, header: &Header, top: usize, rows: usize) {
        self.sampling = Some(header.sampling);
        (self.top, self.rows) = (top, rows.next_multiple_of(2));
        self.between.iter_mut().for_each(|column| column.resize(self.rows / 2 + 2, 0));
        self.whole.iter_mut().for_each(|column| column.resize(self.rows, 128));
        if header.sampling == Sampling::Gray {
            self.whole.iter_mut().for_each(|column| column.fill(128));
        }
    }

    /// Converts columns `x`, which is even, and `x + 1` into pairs of bytes.
    pub(crate) fn convert(&mut self, planes: &Planes, x: usize, out: [&mut [u8]; 3]) {
        let sampling = self.sampling.expect("the converter was started");
        // Blocks are even both ways, so that the last pixels of an odd image have neighbours in memory.
        let luma = [x, x + 1].map(|x| planes.column(0, x, self.top..self.top + self.rows));
        if sampling == Sampling::Gray {
            let [blue, blue_2, red, red_2] = &self.whole;
            return convert_columns(self.cpu, luma, [blue, blue_2], [red, red_2], out);
        }
        if sampling == Sampling::Full {
            let rows = self.top..self.top + self.rows;
            let [blue, red] = [1, 2].map(|number| [x, x + 1].map(|x| planes.column(number, x, rows.clone())));
            return convert_columns(self.cpu, luma, blue, red, out);
        }
        let has_triangles = planes.size(1).0 > 2; // libjpeg repeats what is narrower
        if sampling == Sampling::Quarter && has_triangles {
            return self.convert_quarter(planes, x, luma, out);
        }
        for (number, column) in self.whole.iter_mut().enumerate() {
            fill_column(self.cpu, planes, 1 + number / 2, sampling, (x + number % 2, self.top), column);
        }
        let [blue, blue_2, red, red_2] = &self.whole;
        convert_columns(self.cpu, luma, [blue, blue_2], [red, red_2], out);
    }

    fn convert_quarter(&mut self, planes: &Planes, x: usize, luma: [&[u8]; 2], out: [&mut [u8]; 3]) {
        for (component, between) in [1, 2].into_iter().zip(self.between.chunks_exact_mut(2)) {
            let [first, second] = between else { unreachable!("chunks of two") };
            let (width, height) = planes.size(component);
            let (near, top) = (x / 2, self.top / 2);
            // A row above and one below, where there are such rows.
            let rows = top.saturating_sub(1)..(top + first.len() - 1).min(height);
            let (before, after) = (usize::from(top == 0), top + first.len() - 1 - rows.end);
            let column = |x: usize| planes.column(component, x, rows.clone());
            let [left, near, right] = [near.saturating_sub(1), near, (near + 1).min(width - 1)].map(column);
            let end = first.len() - after;
            let (a, b) = (&mut first[before..end], &mut second[before..end]);
            between_columns(self.cpu, near, left, right, a, b);
            for between in [first, second] {
                between[0] = between[before];
                let last = between[end - 1];
                between[end..].fill(last);
            }
        }
        let [blue, blue_2, red, red_2] = &self.between;
        convert_quads(self.cpu, luma, [blue, blue_2], [red, red_2], out);
    }
}

versions! {
    /// Three parts of `near` and one of the column at either side.
    fn between_columns(near: &[u8], left: &[u8], right: &[u8], first: &mut [i16], second: &mut [i16]) {
        let columns = near.iter().zip(left).zip(right);
        for (((&near, &left), &right), (first, second)) in columns.zip(first.iter_mut().zip(second)) {
            let near = 3 * i16::from(near);
            (*first, *second) = (near + i16::from(left), near + i16::from(right));
        }
    }
}

/// Chroma rows that are converted side by side.
const LANES: usize = 16;

/// Two columns of two rows at a time, from chroma that is already interpolated between columns.
///
/// Of each chroma row there are two pixels in either column. What is left is to interpolate between rows.
fn convert_quads(cpu: Cpu, luma: [&[u8]; 2], blue: [&[i16]; 2], red: [&[i16]; 2], out: [&mut [u8]; 3]) {
    match cpu {
        Cpu::Portable => each_block(luma, blue, red, out, quads),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => x86::convert_quads(cpu, luma, blue, red, out),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => x86::convert_quads(cpu.avx2(), luma, blue, red, out),
    }
}

/// What is converted at a time: luma of two columns of twice as many pixels, and chroma between columns, with a row above
/// and one below.
struct Block<'a> {
    luma: [&'a [u8; 2 * LANES]; 2],
    blue: [&'a [i16; LANES + 2]; 2],
    red: [&'a [i16; LANES + 2]; 2],
}

#[inline(always)]
fn each_block(
    luma: [&[u8]; 2],
    blue: [&[i16]; 2],
    red: [&[i16]; 2],
    out: [&mut [u8]; 3],
    convert: impl Fn(&Block) -> [[u8; 4 * LANES]; 3],
) {
    let rows = out[0].len() / 4;
    let [out_red, out_green, out_blue] = out;
    for at in (0..rows).step_by(LANES) {
        let count = LANES.min(rows - at);
        let (mut a, mut b) = ([[0; 2 * LANES]; 2], [[0; LANES + 2]; 4]);
        let ([a0, a1], [b0, b1, b2, b3]) = (&mut a, &mut b);
        let (pixels, samples) = (2 * at..2 * (at + count), at..at + count + 2);
        let block = Block {
            luma: [padded(&luma[0][pixels.clone()], a0), padded(&luma[1][pixels], a1)],
            blue: [padded(&blue[0][samples.clone()], b0), padded(&blue[1][samples.clone()], b1)],
            red: [padded(&red[0][samples.clone()], b2), padded(&red[1][samples], b3)],
        };
        let colours = convert(&block);
        for (colour, out) in colours.iter().zip([&mut *out_red, &mut *out_green, &mut *out_blue]) {
            store(colour, &mut out[4 * at..4 * (at + count)]);
        }
    }
}

/// A block's colours: for each chroma row the upper pixels of both columns, then the lower ones.
fn quads(block: &Block) -> [[u8; 4 * LANES]; 3] {
    let mut out = [[0; 4 * LANES]; 3];
    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let [blue, red] = [block.blue, block.red].map(|chroma| between_rows(chroma[column], row, column));
        let luma = std::array::from_fn(|i| i16::from(block.luma[column][2 * i + row]));
        for (out, values) in out.iter_mut().zip(rgb(&luma, &blue, &red)) {
            for (i, value) in values.into_iter().enumerate() {
                out[4 * i + 2 * row + column] = value;
            }
        }
    }
    out
}

/// A block's values; where there are fewer, `room` with zeros behind them.
#[inline(always)]
fn padded<'a, T: Copy, const N: usize>(values: &'a [T], room: &'a mut [T; N]) -> &'a [T; N] {
    if let Some(values) = values.first_chunk() {
        return values;
    }
    room[..values.len()].copy_from_slice(values);
    room
}

/// Writes a block's values, or the first ones where there is less room.
#[inline(always)]
fn store<const N: usize>(values: &[u8; N], out: &mut [u8]) {
    match out.first_chunk_mut() {
        Some(out) => *out = *values,
        None => out.copy_from_slice(&values[..out.len()]),
    }
}

/// Chroma of the upper or lower pixels of a block's rows; libjpeg's rounding differs from column to column.
#[inline(always)]
fn between_rows(between: &[i16; LANES + 2], row: usize, column: usize) -> [i16; LANES] {
    std::array::from_fn(|i| ((3 * between[i + 1] + between[i + 2 * row] + 8 - column as i16) >> 4) - 128)
}

/// The colours of luma and of chroma less its middle.
#[inline(always)]
fn rgb(luma: &[i16; LANES], blue: &[i16; LANES], red: &[i16; LANES]) -> [[u8; LANES]; 3] {
    // The constants are 1.402 − 1, 1.772 − 2, 0.344136 and 1 − 0.714136 with 16 bits behind the point.
    let high = |value: i16, factor: i16| ((i32::from(2 * value) * i32::from(factor)) >> 16) as i16;
    let byte = |value: i16| value.clamp(0, 255) as u8;
    [
        std::array::from_fn(|i| byte(luma[i] + red[i] + ((high(red[i], 26_345) + 1) >> 1))),
        std::array::from_fn(|i| {
            let sum = i32::from(blue[i]) * -22_554 + i32::from(red[i]) * 18_734 + 32_768;
            byte(luma[i] - red[i] + (sum >> 16) as i16)
        }),
        std::array::from_fn(|i| byte(luma[i] + 2 * blue[i] + ((high(blue[i], -14_942) + 1) >> 1))),
    ]
}

versions! {
    /// Two columns of pixels that have chroma each.
    fn convert_columns(luma: [&[u8]; 2], blue: [&[u8]; 2], red: [&[u8]; 2], out: [&mut [u8]; 3]) {
        let [out_red, out_green, out_blue] = out;
        let out = out_red
            .chunks_mut(2 * LANES)
            .zip(out_green.chunks_mut(2 * LANES))
            .zip(out_blue.chunks_mut(2 * LANES));
        for (number, ((red_out, green_out), blue_out)) in out.enumerate() {
            let (at, rows) = (number * LANES, red_out.len() / 2);
            let block = |column: &[u8]| padded(&column[at..][..rows], &mut [0; LANES]).map(i16::from);
            let colours = [0, 1].map(|i| {
                rgb(
                    &block(luma[i]),
                    &block(blue[i]).map(|value| value - 128),
                    &block(red[i]).map(|value| value - 128),
                )
            });
            for (colour, out) in [red_out, green_out, blue_out].into_iter().enumerate() {
                for (i, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    *out = [colours[0][colour][i], colours[1][colour][i]];
                }
            }
        }
    }
}

/// A column of chroma with a value for each pixel, from row `top` on, which is even.
fn fill_column(
    cpu: Cpu,
    planes: &Planes,
    component: usize,
    sampling: Sampling,
    (x, top): (usize, usize),
    out: &mut [u8],
) {
    let (across, down) = sampling.factors();
    let (width, height) = planes.size(component);
    let is_smooth = width > 2 || across == 1;
    let near_x = (x / across).min(width - 1);
    // The neighbour that a pixel leans to; the last column's is itself.
    let far_x = match (is_smooth, across, x % 2) {
        (true, 2, 0) => near_x.saturating_sub(1),
        (true, 2, _) => (near_x + 1).min(width - 1),
        _ => near_x,
    };
    let (first, last) = ((top / down).saturating_sub(down - 1), (top + out.len() - 1) / down + down - 1);
    let rows = first..(last + 1).min(height);
    let [near, far] = [near_x, far_x].map(|x| planes.column(component, x, rows.clone()));
    if (across, down) == (2, 1) {
        return mix_columns(cpu, near, far, 1 + (x % 2) as u16, out);
    }
    let value =
        |column: &[u8], row: usize| u16::from(column[row.clamp(rows.start, rows.end - 1) - rows.start]);
    for (i, out) in out.iter_mut().enumerate() {
        let y = top + i;
        let row = y / down;
        let far_row = match (is_smooth, down, y % 2) {
            (true, 2, 0) => row.saturating_sub(1),
            (true, 2, _) => (row + 1).min(height - 1),
            _ => row,
        };
        let odd = |at: usize| (at % 2) as u16;
        let sum = 3 * value(near, row) + value(far, row);
        *out = match (across, down) {
            (2, 2) => (3 * sum + 3 * value(near, far_row) + value(far, far_row) + 8 - odd(x)) >> 4,
            (_, 2) => (3 * value(near, row) + value(near, far_row) + 1 + odd(y)) >> 2,
            _ => value(near, row),
        } as u8;
    }
}

versions! {
    /// Three parts of `near` and one of `far`.
    fn mix_columns(near: &[u8], far: &[u8], round: u16, out: &mut [u8]) {
        for ((&near, &far), out) in near.iter().zip(far).zip(out) {
            *out = ((3 * u16::from(near) + u16::from(far) + round) >> 2) as u8;
        }
    }
}

/// Luma and chroma of the same size become red, green and blue.
pub(crate) fn convert_in_place(cpu: Cpu, luma: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
    match cpu {
        Cpu::Portable => each_in_place(luma, blue, red, |luma, blue, red| {
            let chroma = |values: &[u8; LANES]| values.map(|value| i16::from(value) - 128);
            rgb(&luma.map(i16::from), &chroma(blue), &chroma(red))
        }),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => x86::convert_in_place(cpu, luma, blue, red),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => x86::convert_in_place(cpu.avx2(), luma, blue, red),
    }
}

#[inline(always)]
fn each_in_place(
    luma: &mut [u8],
    blue: &mut [u8],
    red: &mut [u8],
    convert: impl Fn(&[u8; LANES], &[u8; LANES], &[u8; LANES]) -> [[u8; LANES]; 3],
) {
    let blocks = luma.chunks_mut(LANES).zip(blue.chunks_mut(LANES)).zip(red.chunks_mut(LANES));
    for ((luma, blue), red) in blocks {
        let (mut a, mut b, mut c) = ([0; LANES], [0; LANES], [0; LANES]);
        let colours = convert(padded(luma, &mut a), padded(blue, &mut b), padded(red, &mut c));
        for (out, values) in [luma, blue, red].into_iter().zip(colours) {
            store(&values, out);
        }
    }
}

/// The same with vector instructions.
#[cfg(target_arch = "x86_64")]
mod x86 {
    #![expect(unsafe_code, reason = "vector instructions, loads and stores")]
    #![cfg_attr(
        not(test),
        expect(clippy::wildcard_imports, reason = "intrinsics, whose names say where they are from")
    )]

    use std::arch::x86_64::*;

    use super::{Block, LANES, each_block, each_in_place};
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
        // SAFETY: a value of `Avx2` exists only where the CPU has it.
        unsafe { run(luma, blue, red, out) }
    }

    pub(super) fn convert_in_place(_cpu: Avx2, luma: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
        #[target_feature(enable = "avx2")]
        fn run(luma: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
            each_in_place(luma, blue, red, |luma, blue, red| pixels(luma, blue, red));
        }
        // SAFETY: a value of `Avx2` exists only where the CPU has it.
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
            // Both halves are packed with themselves; the first and the third quarter are what is wanted.
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
        // For each pixel of two rows and two columns its three colours, as 16-bit numbers.
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
            // Bytes: of 8 rows in either half the first and the third pixel, the second and the fourth.
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
        let near = load(between[1..].first_chunk().expect("two more than lanes"));
        let far = load(between[2 * row..].first_chunk().expect("two more than lanes"));
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

    /// A factor below ½ in size times a number, of which the double is given.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn part(twice: __m256i, factor: i16) -> __m256i {
        let high = _mm256_mulhi_epi16(twice, _mm256_set1_epi16(factor));
        _mm256_srai_epi16::<1>(_mm256_add_epi16(high, _mm256_set1_epi16(1)))
    }
}
