//! The feed: a thread copies host batches to the device and normalizes them there, while the batch before is
//! trained on.
//!
//! A batch is copied as bytes from pinned memory, on a stream of its own, and becomes floats on the device.
//! It lies in one of a few slots, whose memory lasts as long as the feed; `slot` describes who waits for
//! whom.

mod copier;
mod device_batch;
mod device_feed;
mod normalizer;
mod slot;
mod waits;

pub(crate) use self::device_feed::{FeedTimes, slabs};
pub use self::{device_batch::DeviceBatch, device_feed::Feed, normalizer::Normalizer};
