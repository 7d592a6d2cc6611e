//! Errors of image sizes.

/// The reason why a size of synthetic images cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// A text that is not a size.
    #[error("expected a width and a height such as 500x375")]
    Form,
    /// A side that is too short or too long.
    #[error("{width}x{height} is out of bounds: both sides are from {least} to {most} pixels")]
    Bounds {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The shortest side in pixels.
        least: u32,
        /// The longest side in pixels.
        most: u32,
    },
}
