//! The inverse discrete cosine transform, as libjpeg-turbo's "slow integer" one computes it, to the bit.
//!
//! The factorization is that of Loeffler, Ligtenberg and Moschytz (1989) with 13-bit constants. Coefficients and sums of
//! them are 16-bit numbers that wrap, products are 32-bit ones, and what a pass gives back is cut off to 16 bits,
//! except that of a block with coefficients in its first row alone, the first pass only shifts, and wraps: where a file's
//! coefficients are absurd, that decides what comes out.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use portable::Portable;

use super::{entropy::Block, scan::Place};

/// Factors of a component's coefficients, row after row.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Quantization(pub(super) [i16; 64]);

impl Default for Quantization {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// A way to compute the transform. A value is the proof that this CPU can.
pub(super) trait Idct: Copy {
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
const BITS: u32 = 13;
/// Bits that the first pass keeps behind the point.
const PASS_BITS: u32 = 2;
/// What the two passes shift their sums by.
const SHIFTS: [u32; 2] = [BITS - PASS_BITS, BITS + PASS_BITS + 3];

const F_0_298: i32 = 2446;
const F_0_390: i32 = 3196;
const F_0_541: i32 = 4433;
const F_0_765: i32 = 6270;
const F_0_899: i32 = 7373;
const F_1_175: i32 = 9633;
const F_1_501: i32 = 12299;
const F_1_847: i32 = 15137;
const F_1_961: i32 = 16069;
const F_2_053: i32 = 16819;
const F_2_562: i32 = 20995;
const F_3_072: i32 = 25172;

/// For two numbers from the table's comment, the factors of the one and of the other in a sum.
const PAIRS: [(i32, i32); 8] = [
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
