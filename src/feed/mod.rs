//! The copying thread: host batches become normalized views on the device, while the one before is trained on.
//!
//! A batch travels as bytes from pinned memory, over a queue of its own, and becomes floats on the device. It lies in one of
//! a few slots, whose memory lasts as long as the feed; `slot` says who waits for whom.

mod copier;
mod normalizer;
mod slot;
mod staging;
mod waits;

pub(crate) use self::staging::{FeedTimes, slabs};
pub use self::{
    normalizer::Normalizer,
    staging::{Feed, Staged},
};
