//! A decoder for the JPEGs that photos come as, which decodes what a crop needs and stops below it.
//!
//! It takes baseline and extended sequential files of 8 bits with Huffman codes, in one scan: gray, or Y, Cb and Cr at
//! 4:4:4, 4:2:2, 4:4:0 or 4:2:0. All else it refuses, and leaves to libjpeg-turbo; so it does with whatever is damaged.
//! Of a file that it accepts, coefficients and samples are those of libjpeg-turbo's accurate integer transform, to the bit
//! (`tests/jpeg`).
//!
//! A file is refused as a whole where it is cut short or its markers are out of order; damage to the coded data is noticed
//! only as far as they are read. What libjpeg-turbo warns of without having to make anything up is accepted where it costs
//! nothing (bytes after the last block, odd versions and parameters), and refused elsewhere. Entropy decoding takes most of the time, so that is where the care went: stuffing is
//! removed beforehand, a lookup gives up to two coefficients with their values, and only two branches are hard to foresee:
//! the end of a block and, one lookup in twenty, a value that is longer than a lookup. Blocks outside of the region are passed over without storing anything.
//!
//! Samples lie column after column ([`YccPlanes`]): the transform yields them that way for nothing, and the horizontal half
//! of resizing, which is the larger one, then runs over plain memory.

#![expect(
    clippy::inline_always,
    reason = "loops take the CPU features of the function that they are inlined into"
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
