//! Progress of long work.

/// A stage of work that takes long enough for its progress to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Packing images into shards; the total counts samples.
    Packing,
    /// Drawing synthetic images; the total counts samples.
    Drawing,
    /// Reading shards and decoding every image; the total counts bytes.
    Verifying,
    /// Writing cleaned shards; the total counts bytes.
    Mending,
}

/// A receiver of the progress of a function of this crate, called from all threads that it uses.
///
/// A function works on one stage at a time. `()` ignores the progress.
pub trait Progress: Sync {
    /// Begins a stage with a total of samples or bytes, as [`Stage`] defines.
    fn begin(&self, stage: Stage, total: u64);

    /// Adds samples and bytes that are done.
    fn advance(&self, samples: u64, bytes: u64);

    /// Ends the stage. Not called if the work fails.
    fn end(&self);
}

impl Progress for () {
    fn begin(&self, _: Stage, _: u64) {}

    fn advance(&self, _: u64, _: u64) {}

    fn end(&self) {}
}
