//! What every way to compute the transform has in common.

use crate::decode::jpeg::entropy::Block;

/// A block whose samples are still to be computed.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::decode::jpeg) struct Place {
    pub(in crate::decode::jpeg) component: usize,
    /// Byte of its first sample.
    pub(in crate::decode::jpeg) at: usize,
    /// Bytes from one of its columns to the next.
    pub(in crate::decode::jpeg) stride: usize,
}

/// Factors of a component's coefficients, row after row.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(in crate::decode::jpeg) struct Quantization(pub(in crate::decode::jpeg) [i16; 64]);

impl Default for Quantization {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// A way to compute the transform. A value is the proof that this CPU can.
pub(in crate::decode::jpeg) trait Idct: Copy {
    /// Blocks that are transformed at once, at most 4.
    const BLOCKS: usize;

    /// Transforms the first blocks into the samples at their places. A block's columns become runs of 8 bytes.
    fn run(
        self,
        blocks: &[Block; 4],
        places: &[Place; 4],
        quantization: &[&Quantization; 3],
        data: &mut [u8],
    );
}

/// Bits behind the point of the constants.
pub(super) const BITS: u32 = 13;
/// Bits that the first pass keeps behind the point.
pub(super) const PASS_BITS: u32 = 2;
/// What the two passes shift their sums by.
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

/// For two numbers from the table's comment, the factors of the one and of the other in a sum.
pub(super) const PAIRS: [(i32, i32); 8] = [
    // Of coefficients 2 and 6.
    (F_0_541 + F_0_765, F_0_541),
    (F_0_541, F_0_541 - F_1_847),
    // Of 7 + 3 and 5 + 1.
    (F_1_175 - F_1_961, F_1_175),
    (F_1_175, F_1_175 - F_0_390),
    // Of 7 and 1.
    (F_0_298 - F_0_899, -F_0_899),
    (-F_0_899, F_1_501 - F_0_899),
    // Of 5 and 3.
    (F_2_053 - F_2_562, -F_2_562),
    (-F_2_562, F_3_072 - F_2_562),
];
