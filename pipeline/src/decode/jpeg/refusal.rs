//! Why a file is not decoded here.

/// Why a file is not decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is of a kind that this decoder does not know.
    #[error("is no baseline JPEG of a common kind")]
    Unsupported,
    /// It is damaged or cut short.
    #[error("is a damaged JPEG")]
    Damaged,
}

/// The result of decoding, or why it is refused.
pub type Result<T> = std::result::Result<T, Refusal>;
