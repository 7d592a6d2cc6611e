//! The trait of the transforms, and their constants.

use crate::decode::jpeg::entropy::Block;

/// The place of a block's samples.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::decode::jpeg) struct Place {
    pub(in crate::decode::jpeg) component: usize,
    /// The offset of its first sample in bytes.
    pub(in crate::decode::jpeg) at: usize,
    /// The distance from one of its columns to the next in bytes.
    pub(in crate::decode::jpeg) stride: usize,
}

/// The quantization factors of a component, row by row.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(in crate::decode::jpeg) struct Quantization(pub(in crate::decode::jpeg) [i16; 64]);

impl Default for Quantization {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// A version of the transform. A value is the proof that this CPU supports it.
pub(in crate::decode::jpeg) trait Idct: Copy {
    /// The number of blocks that are transformed at a time, at most 4.
    const BLOCKS: usize;

    /// Transforms the first `BLOCKS` blocks to the samples at their places. A block's columns become runs of
    /// 8 bytes.
    fn run(
        self,
        blocks: &[Block; 4],
        places: &[Place; 4],
        quantization: &[&Quantization; 3],
        data: &mut [u8],
    );
}

/// The fractional bits of the constants.
pub(super) const BITS: u32 = 13;
/// The fractional bits that the first pass keeps.
pub(super) const PASS_BITS: u32 = 2;
/// The shifts of the two passes' sums.
pub(super) const SHIFTS: [u32; 2] = [BITS - PASS_BITS, BITS + PASS_BITS + 3];

pub(super) const F_0_298: i32 = 2446;
pub(super) const F_0_390: i32 = 3196;
pub(super) const F_0_541: i32 = 4433;
pub(super) const F_0_765: i32 = 6270;
pub(super) const F_0_899: i32 = 7373;
pub(super) const F_1_175: i32 = 9633;
pub(super) const F_1_501: i32 = 12299;
pub(super) const F_1_847: i32 = 15137;
pub(super) const F_1_961: i32 = 16069;
pub(super) const F_2_053: i32 = 16819;
pub(super) const F_2_562: i32 = 20995;
pub(super) const F_3_072: i32 = 25172;

/// The factors of two numbers in a sum; the comments name the numbers.
pub(super) const PAIRS: [(i32, i32); 8] = [
    // Coefficients 2 and 6.
    (F_0_541 + F_0_765, F_0_541),
    (F_0_541, F_0_541 - F_1_847),
    // 7 + 3 and 5 + 1.
    (F_1_175 - F_1_961, F_1_175),
    (F_1_175, F_1_175 - F_0_390),
    // 7 and 1.
    (F_0_298 - F_0_899, -F_0_899),
    (-F_0_899, F_1_501 - F_0_899),
    // 5 and 3.
    (F_2_053 - F_2_562, -F_2_562),
    (-F_2_562, F_3_072 - F_2_562),
];
