//! Cures of errors, as data.

/// The cure of an error, as data: the program words it, with its own flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Allow more bad samples, or find out what is wrong with them.
    AllowMore,
    /// Find out what is wrong with the samples.
    Verify,
    /// Write a budget as a share, such as `1%` or `1% after 1000 samples`, or as a number of samples.
    Budget,
    /// Use the name of a preset: see [`Preset::ALL`](crate::Preset::ALL).
    Preset,
    /// Use `exact` or `fast`.
    DecodeMode,
}
