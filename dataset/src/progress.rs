//! How far work is, told while it is done.

/// Work that takes long enough for its progress to be of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Images are packed into shards; the total counts samples.
    Packing,
    /// Synthetic images are drawn; the total counts samples.
    Drawing,
    /// Shards are read and every image is decoded; the total counts bytes.
    Verifying,
    /// Cleaned shards are written; the total counts bytes.
    Mending,
}

/// Receives the progress of a function of this crate, from all threads that it uses.
///
/// A function has one stage at a time. `()` is a receiver that does nothing.
pub trait Progress: Sync {
    /// A stage begins, with a total of samples or bytes, as [`Stage`] says.
    fn begin(&self, stage: Stage, total: u64);

    /// So many more samples are done, and so many more bytes.
    fn advance(&self, samples: u64, bytes: u64);

    /// The stage is over.
    fn end(&self);
}

impl Progress for () {
    fn begin(&self, _: Stage, _: u64) {}

    fn advance(&self, _: u64, _: u64) {}

    fn end(&self) {}
}
