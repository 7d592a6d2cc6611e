//! What can go wrong between an encoded sample and a batch.

use std::sync::Arc;

use crate::{BadSample, BadSampleBudget, FileFormat, Hint};

/// The result of a stage of the pipeline.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between an encoded sample and a batch.
///
/// Those up to [`Encode`](Self::Encode) concern one image: the [`Loader`](crate::Loader) counts them against its
/// [`BadSampleBudget`] and goes on. The others end it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes cannot be read any more: the shard was cut while the sample waited.
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    /// The system does not give the memory that decoding it needs; it need not be damaged.
    #[error("needs more memory to be decoded than there is")]
    Memory,
    /// The sample has no image.
    #[error("has no image")]
    NoImage,
    /// The bytes are of another format, whatever the file is called.
    #[error("is {0}, neither a JPEG, nor a PNG, nor a WebP")]
    Format(FileFormat),
    /// The JPEG is damaged or cut short.
    #[error("is a damaged JPEG: {0}")]
    Jpeg(String),
    /// The JPEG is of a kind that is not decoded, by Pillow neither.
    #[error("is a JPEG of a kind that is not decoded: {0}")]
    Unsupported(String),
    /// The PNG is damaged or cut short.
    #[error("is a damaged PNG")]
    Png(#[source] png::DecodingError),
    /// The image's structure is damaged, or it is cut short.
    #[error("is a damaged {format}: {reason}")]
    Damaged {
        /// The image's format.
        format: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The image has more pixels than are allowed; nothing has been allocated for them.
    #[error("has {width}×{height} pixels, above the limit of {limit} in all")]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The most pixels allowed.
        limit: u64,
    },
    /// A side of the image is longer than is allowed, whatever the other one; nothing has been allocated for it.
    #[error("has {width}×{height} pixels, with a side above the limit of {limit}")]
    TooLong {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The longest side allowed.
        limit: u32,
    },
    /// The image is so thin that a recipe, which resizes its short side, would make far too many pixels of it.
    #[error(
        "is {width}×{height}, too thin for this recipe: with its short side resized to {edge}, the long one may have {limit} \
         pixels, and would have {long}"
    )]
    TooThin {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// What the short side is resized to.
        edge: u32,
        /// What the long side would become.
        long: u64,
        /// The most that the long side may become.
        limit: u64,
    },
    /// The image has a size that the recipe does not turn into its own.
    #[error("is {width}×{height} at the end of the recipe, not {side}×{side}")]
    Size {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Width and height that the recipe promises.
        side: u32,
    },
    /// The image cannot be written as a JPEG.
    #[error("cannot encode a JPEG of {width}×{height} pixels")]
    Encode {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The cause.
        source: turbojpeg::Error,
    },
    /// More samples are bad than the budget allows.
    #[error("{bad} of {seen} samples are bad, more than {budget}; the last: {last}")]
    TooManyBad {
        /// Bad samples so far.
        bad: u64,
        /// Samples so far, bad ones included.
        seen: u64,
        /// What is allowed.
        budget: BadSampleBudget,
        /// The last bad one.
        last: BadSample,
    },
    /// The shards cannot be read on.
    #[error("the samples end early")]
    Samples(#[from] shards::Error),
    /// A decoding thread panicked, which is a bug; this is the sample it had in hand.
    #[error(
        "a worker panicked on sample `{key}`, shard `{shard}` at byte {offset}; its message is on stderr"
    )]
    Worker {
        /// The shard.
        shard: Arc<str>,
        /// Byte at which the image's data begins.
        offset: u64,
        /// The sample.
        key: String,
    },
    /// A thread panicked outside its samples, which is a bug.
    #[error("thread `{thread}` panicked: {message}")]
    Thread {
        /// Its name.
        thread: String,
        /// What the panic said.
        message: String,
    },
    /// A thread cannot be started.
    #[error("cannot start thread `{thread}`")]
    Spawn {
        /// Its name.
        thread: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A text that names no preset.
    #[error("there is no preset `{name}`")]
    Preset {
        /// The text.
        name: String,
    },
    /// A text that names no way to decode.
    #[error("there is no way to decode that is called `{name}`")]
    DecodeMode {
        /// The text.
        name: String,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
}

impl Error {
    /// What can be done about it, where that is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::TooManyBad { .. } => Some(Hint::AllowMore),
            Self::Preset { .. } => Some(Hint::Preset),
            Self::DecodeMode { .. } => Some(Hint::DecodeMode),
            _ => None,
        }
    }
}
