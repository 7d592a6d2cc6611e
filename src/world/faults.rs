//! Faults of joint operations, which tests put in: each of them has been seen in programs that train in several
//! processes, and most leave the loss nearly as it is.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The negatives are those of the process.
    OwnNegatives,
    /// Batch norms normalize by the statistics of the process.
    OwnStatistics,
    /// Gathered rows have no gradient.
    NoGradient,
    /// Their gradient is too large by the number of processes.
    TooLargeGradient,
    /// Their gradient is too small by the number of processes.
    TooSmallGradient,
    /// The rows of the other processes are dropped, and those of this one taken in their place.
    OwnRows,
    /// All processes use what was drawn for the samples of the first.
    SameDraws,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::OwnNegatives,
        Self::OwnStatistics,
        Self::NoGradient,
        Self::TooLargeGradient,
        Self::TooSmallGradient,
        Self::OwnRows,
        Self::SameDraws,
    ];
}
