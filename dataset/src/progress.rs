//! Progress of work that takes long.

/// A stage of work that takes long enough for its progress to be shown.
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
/// A function works on one stage at a time. Use `()` where nobody needs to know.
pub trait Progress: Sync {
    /// Begins a stage, with a total of samples or bytes, as [`Stage`] says.
    fn begin(&self, stage: Stage, total: u64);

    /// Adds samples and bytes that are done.
    fn advance(&self, samples: u64, bytes: u64);

    /// Ends the stage. It is not called if the work fails.
    fn end(&self);
}

impl Progress for () {
    fn begin(&self, _: Stage, _: u64) {}

    fn advance(&self, _: u64, _: u64) {}

    fn end(&self) {}
}
