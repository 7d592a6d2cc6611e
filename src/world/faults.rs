//! Faults of joint operations, which tests put in: each of them has been seen in programs that train in several
//! processes, and most leave the loss nearly as it is.

use tch::Tensor;

use super::World;

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

impl World {
    /// Returns the same processes with a fault.
    pub(crate) fn with_fault(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Returns gathered rows (size·n, …) with the fault in them or in their gradient.
    pub(super) fn with_faulty_gradient(self, rows: Tensor) -> Tensor {
        let size = self.size as i64;
        let scaled = |factor: f64| &rows * factor + (&rows * (1.0 - factor)).detach();
        match self.fault {
            Some(Fault::NoGradient) => rows.detach(),
            Some(Fault::TooLargeGradient) if rows.is_floating_point() => scaled(size as f64),
            Some(Fault::TooSmallGradient) if rows.is_floating_point() => scaled(1.0 / size as f64),
            Some(Fault::OwnRows) => {
                let own = rows.size()[0] / size;
                let places = Tensor::arange(own, (tch::Kind::Int64, rows.device())) + own * self.rank as i64;
                rows.index_select(0, &places.repeat([size]))
            }
            _ => rows,
        }
    }
}
