//! What can be done about an error.

/// What can be done about an error, as data: a program puts it into words, with its own flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Allow more bad samples, or find out what is wrong with them.
    AllowMore,
    /// Write a budget as a share, such as `1%` or `1% after 1000 samples`, or as a number of samples.
    Budget,
    /// Write the name of a preset: see [`Preset::ALL`](crate::Preset::ALL).
    Preset,
    /// Write `exact` or `fast`.
    DecodeMode,
}
