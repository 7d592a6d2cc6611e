//! The inverse discrete cosine transform, bit-identical to libjpeg-turbo's "slow integer" one.
//!
//! The factorization is that of Loeffler, Ligtenberg and Moschytz (1989) with 13-bit constants. Coefficients
//! and their sums are 16-bit numbers that wrap, products are 32-bit ones, and the results of a pass are
//! clipped to 16 bits. One exception: for a block with coefficients only in its first row, the first pass
//! just shifts, and wraps. It matters for files with absurd coefficients.

mod portable;
mod transform;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use portable::Portable;
pub(super) use transform::{Idct, Place, Quantization};
