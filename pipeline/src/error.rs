//! Errors between an encoded sample and a batch.

use std::sync::Arc;

use crate::{BadSample, BadSampleBudget, FileFormat, Hint};

/// The result of a stage of the pipeline.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error between an encoded sample and a batch.
///
/// The variants up to [`Encode`](Self::Encode) concern one image and read as clauses about the sample: the
/// [`Loader`](crate::Loader) counts them against its [`BadSampleBudget`] and goes on. The others end it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that can no longer be read: the shard was cut while the sample waited.
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    /// A lack of memory for decoding; the image need not be damaged.
    #[error("needs more memory to be decoded than there is")]
    Memory,
    /// A sample without an image.
    #[error("has no image")]
    NoImage,
    /// Bytes of a format that is not decoded, whatever the file's name.
    #[error("is {0}, neither a JPEG, nor a PNG, nor a WebP")]
    Format(FileFormat),
    /// A JPEG that is damaged or cut short.
    #[error("is a damaged JPEG: {0}")]
    Jpeg(String),
    /// A kind of JPEG that neither this crate nor Pillow decodes.
    #[error("is a JPEG of a kind that is not decoded: {0}")]
    Unsupported(String),
    /// A PNG that is damaged or cut short.
    #[error("is a damaged PNG")]
    Png(#[source] png::DecodingError),
    /// An image of another format that is damaged or cut short.
    #[error("is a damaged {format}: {reason}")]
    Damaged {
        /// The image's format.
        format: &'static str,
        /// The damage.
        reason: &'static str,
    },
    /// An image with more pixels than allowed; no memory was allocated for them.
    #[error("has {width}×{height} pixels, above the limit of {limit} in all")]
    TooLarge {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The most pixels allowed.
        limit: u64,
    },
    /// An image with a side longer than allowed; no memory was allocated for it.
    #[error("has {width}×{height} pixels, with a side above the limit of {limit}")]
    TooLong {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The longest side allowed, in pixels.
        limit: u32,
    },
    /// An image so thin that a recipe, which resizes its short side, would make far too many pixels of it.
    #[error(
        "is {width}×{height}, too thin for this recipe: with its short side resized to {edge}, the long one may have {limit} \
         pixels, and would have {long}"
    )]
    TooThin {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The length in pixels to which the short side is resized.
        edge: u32,
        /// The length in pixels that the long side would get.
        long: u64,
        /// The greatest allowed length of the long side after resizing.
        limit: u64,
    },
    /// An image that the recipe does not bring to its own size.
    #[error("is {width}×{height} at the end of the recipe, not {side}×{side}")]
    Size {
        /// The width in pixels after the recipe.
        width: u32,
        /// The height in pixels after the recipe.
        height: u32,
        /// The width and height of the recipe's views.
        side: u32,
    },
    /// An image that cannot be encoded as a JPEG.
    #[error("cannot encode a JPEG of {width}×{height} pixels")]
    Encode {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The cause.
        source: turbojpeg::Error,
    },
    /// More bad samples than the budget allows.
    #[error("{bad} of {seen} samples are bad, more than {budget}; the last: {last}")]
    TooManyBad {
        /// The number of bad samples so far.
        bad: u64,
        /// The number of samples so far, bad ones included.
        seen: u64,
        /// The budget.
        budget: BadSampleBudget,
        /// The last bad sample.
        last: BadSample,
    },
    /// An endless stream without any good sample, though the budget allows that.
    #[error("none of {samples} successive samples is good; the last: {last}")]
    NoneGood {
        /// The number of samples that were tried: at least those of an epoch.
        samples: usize,
        /// The last bad sample.
        last: BadSample,
    },
    /// A failure of the source, which ends the stream of samples.
    #[error("the samples end early")]
    Samples(#[from] shards::Error),
    /// A panic of a decoding thread, which is a bug, with the sample that it was rendering.
    #[error(
        "a worker panicked on sample `{key}`, shard `{shard}` at byte {offset}; its message is on stderr"
    )]
    Worker {
        /// The name of the shard.
        shard: Arc<str>,
        /// The byte of the shard at which the image's data begins.
        offset: u64,
        /// The key of the sample.
        key: String,
    },
    /// A panic of a thread outside of its samples, which is a bug.
    #[error("thread `{thread}` panicked: {message}")]
    Thread {
        /// The name of the thread.
        thread: String,
        /// The message of the panic.
        message: String,
    },
    /// A thread that the system does not start.
    #[error("cannot start thread `{thread}`")]
    Spawn {
        /// The name of the thread.
        thread: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A text that is not the name of a preset.
    #[error("unknown preset `{name}`")]
    Preset {
        /// The text.
        name: String,
    },
    /// A text that is not the name of a decode mode.
    #[error("unknown decode mode `{name}`")]
    DecodeMode {
        /// The text.
        name: String,
    },
    /// A configuration that cannot work; the text says why.
    #[error("{0}")]
    Config(String),
}

impl Error {
    /// Returns the cure, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::TooManyBad { .. } => Some(Hint::AllowMore),
            Self::NoneGood { .. } => Some(Hint::Verify),
            Self::Preset { .. } => Some(Hint::Preset),
            Self::DecodeMode { .. } => Some(Hint::DecodeMode),
            _ => None,
        }
    }
}
