//! Reads an encoder from a file of `export` or of the reference implementation.

mod foreign;
mod load;
mod pickle;
mod pth;
mod read;

pub(crate) use self::load::{Imported, load};
pub use self::{
    foreign::{Foreign, check_sizes},
    load::open,
    read::read,
};
