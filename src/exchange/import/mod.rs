//! Reads an encoder from a file of `export`, of the reference implementation, or of a ResNet of another program.

mod foreign;
mod load;
mod pickle;
mod pth;
mod read;
mod reference;
mod resnet;

pub(crate) use self::load::{Imported, load};
pub use self::{
    foreign::{Foreign, check_sizes},
    load::open,
    read::read,
};
