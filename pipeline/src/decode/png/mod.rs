//! Decodes PNGs.

mod chunks;
mod decoder;
mod header;
mod metadata;

pub(super) use decoder::Png;
pub(super) use header::header;
