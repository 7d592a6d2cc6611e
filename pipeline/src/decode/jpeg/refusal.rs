//! The reasons for refusing a file.

/// The reason for which this decoder refuses a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is of a kind that this decoder does not support.
    #[error("is not a baseline JPEG of a common kind")]
    Unsupported,
    /// The file is damaged or cut short.
    #[error("is a damaged JPEG")]
    Damaged,
}

/// The result of this decoder.
pub type Result<T> = std::result::Result<T, Refusal>;
