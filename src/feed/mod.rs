//! The feed: a thread copies host batches to the device and normalizes them there, while the batch before is
//! trained on.
//!
//! A batch is copied as bytes from pinned memory, on a stream of its own, and becomes floats on the device.
//! It lies in one of a few slots, whose memory lasts as long as the feed; `slot` describes who waits for
//! whom.

mod copier;
mod normalizer;
mod slot;
mod staging;
mod waits;

pub(crate) use self::staging::{FeedTimes, slabs};
pub use self::{
    normalizer::Normalizer,
    staging::{DeviceBatch, Feed},
};
