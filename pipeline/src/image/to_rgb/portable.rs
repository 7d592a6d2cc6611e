//! The conversion in plain Rust: the reference for the others, and the version for other CPUs.

use super::block::{Block, LANES};

/// Converts a block: for each chroma row the upper pixels of both columns, then the lower ones.
pub(super) fn quads(block: &Block) -> [[u8; 4 * LANES]; 3] {
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

/// Interpolates the chroma of the upper or lower pixels of a block's rows; libjpeg rounds differently from
/// column to column.
#[inline(always)]
fn between_rows(between: &[i16; LANES + 2], row: usize, column: usize) -> [i16; LANES] {
    std::array::from_fn(|i| ((3 * between[i + 1] + between[i + 2 * row] + 8 - column as i16) >> 4) - 128)
}

/// Converts luma and chroma, with 128 subtracted from chroma, to colours.
#[inline(always)]
pub(super) fn rgb(luma: &[i16; LANES], blue: &[i16; LANES], red: &[i16; LANES]) -> [[u8; LANES]; 3] {
    // The constants are 1.402 − 1, 1.772 − 2, 0.344136 and 1 − 0.714136 with 16 fractional bits.
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
