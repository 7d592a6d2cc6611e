//! The inverse discrete cosine transform, as libjpeg-turbo's "slow integer" one computes it, to the bit.
//!
//! The factorization is that of Loeffler, Ligtenberg and Moschytz (1989) with 13-bit constants. Coefficients and sums of
//! them are 16-bit numbers that wrap, products are 32-bit ones, and what a pass gives back is cut off to 16 bits,
//! except that of a block with coefficients in its first row alone, the first pass only shifts, and wraps: where a file's
//! coefficients are absurd, that decides what comes out.

mod portable;
mod transform;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use portable::Portable;
pub(super) use transform::{Idct, Place, Quantization};
