//! From patterns to files.

mod absolute;
mod address;
mod braces;
mod diagnose;
mod error;
mod expand;
mod list;
mod named;
#[cfg(test)]
mod tests;

pub use absolute::absolute;
pub(crate) use error::open_cure;
pub use error::{Listing, PatternError};
pub use expand::expand;
