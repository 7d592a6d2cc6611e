//! Sizes that images cannot have.

/// Why a size of synthetic images cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// A text is no size.
    #[error("expected a width and a height such as 500x375")]
    Form,
    /// A side is too short or too long.
    #[error("{width}x{height} is out of bounds: both sides are from {least} to {most} pixels")]
    Bounds {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The least pixels of a side.
        least: u32,
        /// The most pixels of a side.
        most: u32,
    },
}
