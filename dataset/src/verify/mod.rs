//! Every byte of a set is read, what is wrong with it is told, and shards without that are written.
//!
//! Shards are read one by one, whatever is wrong with others. Of a sample stays what comparing the set needs: two hashes of
//! 128 bits, place, label, sizes and key.

mod compare;
mod counts;
mod examine;
mod finding;
mod findings;
mod fix;
mod kind;
mod report;
mod verification;

pub use counts::Counts;
pub use finding::Finding;
pub use findings::Findings;
pub use fix::Fixed;
pub use kind::Kind;
pub use verification::{Options, Verification};
