//! What can be done about an error.

/// What can be done about an error, as data: a program puts it into words, with its own flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Allow more bad samples, or mend them.
    Budget,
}
