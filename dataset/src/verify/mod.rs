//! Reads every byte of a set, finds what is wrong with it, and writes shards without bad samples.
//!
//! A damaged shard does not keep others from being read. Only the data for comparing samples stays in memory:
//! two hashes of 128 bits, place, label, sizes and key of each.
//!
//! Several processes can read a set together: each reads some shards of the [`Survey`], and one makes the
//! [`Verification`] of all [`Examined`] shards.

mod compare;
mod counts;
mod examine;
mod finding;
mod findings;
mod fix;
mod kind;
mod report;
mod survey;
mod verification;

pub use counts::Counts;
pub use examine::Examined;
pub use finding::Finding;
pub use findings::Findings;
pub use fix::Fixed;
pub use kind::Kind;
pub use survey::{Options, Survey};
pub use verification::{Outputs, Verification};
