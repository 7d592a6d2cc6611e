//! Patterns of paths, and their expansion to files.

mod absolute;
mod access;
mod address;
mod braces;
mod diagnose;
mod error;
mod expand;
mod hint;
mod list;
mod named;
mod remote;
mod scheme;
#[cfg(test)]
mod tests;

pub use absolute::absolute;
pub use access::AccessHint;
pub use error::{Listing, PatternError};
pub use expand::expand;
pub use hint::{Elsewhere, ListHint, PatternHint};
#[cfg(feature = "remote")]
pub(crate) use remote::expand_remote;
pub(crate) use remote::lines;
pub(crate) use scheme::is_remote;
pub use scheme::without_query;
