//! Packs image folders and the binary files of CIFAR and STL-10 into shards and `classes.txt`.
//!
//! [`open()`] recognizes the kind of a source, [`number_by`] numbers its classes by a given list, [`write()`]
//! writes the shards. JPEGs, PNGs and WebPs are packed byte by byte, raw pixels and other formats as PNG
//! without loss. Images that cannot be read are left out and named in the log. Each thread has one image in
//! memory at a time, whatever the size of the source. Several processes can share the shards of a [`Packing`].

mod convert;
mod folder;
mod format;
mod numbering;
mod open;
mod packing;
mod plan;
mod records;
mod source;
mod split;
mod write;

pub use format::Format;
pub use numbering::number_by;
pub use open::open;
pub use packing::{Options, Packing, Part, write};
pub use plan::Cut;
pub use source::{Image, Source};
pub use split::Validation;
pub use write::{Resize, Written};
