//! A decoder for the kinds of JPEG that photos have. It decodes what a crop needs and stops below it.
//!
//! It supports baseline and extended sequential files of 8 bits with Huffman codes, in one scan: gray, or Y,
//! Cb and Cr at 4:4:4, 4:2:2, 4:4:0 or 4:2:0. Everything else, and everything damaged, it refuses and leaves
//! to libjpeg-turbo. Coefficients and samples of accepted files are bit-identical to those of libjpeg-turbo's
//! accurate integer transform (`tests/jpeg`).
//!
//! A file that is cut short, or has markers out of order, is refused as a whole; damage to the coded data is
//! noticed as far as they are read. Files that libjpeg-turbo decodes with a warning, but without inventing
//! data, are accepted if that costs nothing (bytes after the last block, odd versions and parameters), and
//! refused otherwise.
//!
//! Most of the time goes to entropy decoding, so that is what is optimized: byte stuffing is removed
//! beforehand, a lookup gives up to two coefficients with their values, and only two branches are hard to
//! predict: the end of a block, and, in one lookup of twenty, a value longer than a lookup. Blocks outside of
//! the region are skipped without storing anything.
//!
//! Samples are stored column by column ([`YccPlanes`]): the transform yields them that way for free, and the
//! horizontal pass of resizing, which is the larger one, then reads memory sequentially.

#![expect(
    clippy::inline_always,
    reason = "loops need the CPU features of the function that they are inlined into"
)]

mod bits;
mod cover;
mod decoder;
mod entropy;
mod header;
mod huffman;
mod idct;
mod markers;
mod preamble;
mod refusal;
mod scan;

pub use crate::image::{Region, Sampling, YccPlanes};
pub use decoder::Decoder;
pub use header::Header;
pub(super) use preamble::Preamble;
pub use refusal::{Refusal, Result};
