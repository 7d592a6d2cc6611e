//! Image folders, CIFAR and STL-10 binaries → shards and `classes.txt`.
//!
//! Encoded images go in byte by byte, raw pixels and other formats losslessly as PNG. What cannot be read is left out
//! and named; nothing holds more than one image a thread in memory, whatever the size of the source.

mod convert;
mod folder;
mod format;
mod numbering;
mod open;
mod plan;
mod records;
mod source;
mod split;
mod write;

pub use format::Format;
pub use numbering::number_by;
pub use open::open;
pub use plan::Cut;
pub use source::{Image, Source};
pub use split::Validation;
pub use write::{Options, Resize, write};
