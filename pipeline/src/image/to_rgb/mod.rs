//! Converts luma and chroma to red, green and blue, bit-identical to libjpeg-turbo.
//!
//! Halved chroma is interpolated by triangles ("fancy upsampling": three parts of the nearer sample, one of
//! the further one) with one rounding; then follows the matrix of JFIF in 16-bit fixed point.

mod block;
mod columns;
mod convert;
mod converter;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use convert::convert_in_place;
pub(super) use converter::Converter;
