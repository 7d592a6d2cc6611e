//! Errors of reading and writing shards.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    fault::ShardFault,
    hint::{ContentHint, Hint},
    pattern::{AccessHint, PatternError},
    unavailable::Unavailable,
};

/// The result of reading or writing shards.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of reading or writing shards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pattern that does not name shards.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A server that does not give what was asked for.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A cache that has no room for what is read together.
    #[error("the cache may take {}, but this order of samples needs {}", size_text(*.limit), size_text(*.bytes))]
    SmallCache {
        /// The bytes that are needed.
        bytes: u64,
        /// The bytes that the cache may take; 0 without a cache.
        limit: u64,
    },
    /// A shard that cannot be opened or mapped.
    #[error("cannot open shard `{path}`")]
    Open {
        /// The path of the shard.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file that is not a tar.
    #[error("`{shard}` is not a tar file{}", but(*.what))]
    NotTar {
        /// The name of the file.
        shard: Arc<str>,
        /// The kind of file it is instead, if it is recognized.
        what: Option<&'static str>,
        /// The cure.
        hint: ContentHint,
    },
    /// A file that is compressed as a whole, so that its samples cannot be reached.
    #[error("`{shard}` is compressed with {format}, shards are plain tar files")]
    Compressed {
        /// The name of the file.
        shard: Arc<str>,
        /// The name of the compression.
        format: &'static str,
        /// The command that decompresses it.
        command: String,
    },
    /// A shard in a form of tar that is not supported.
    #[error("shard `{shard}` holds {what} at byte {offset}, which is not supported")]
    Unsupported {
        /// The name of the shard.
        shard: Arc<str>,
        /// The byte at which the header begins.
        offset: u64,
        /// The unsupported form.
        what: &'static str,
    },
    /// An invalid label in a `cls` member.
    #[error(
        "shard `{shard}`, sample `{key}`: label `{value}` in `cls` is not an integer from 0 to 999999, nor -1 for unlabelled"
    )]
    Label {
        /// The name of the shard.
        shard: Arc<str>,
        /// The key of the sample.
        key: String,
        /// The label as stored.
        value: String,
    },
    /// A set of shards without any image.
    #[error(
        "there are no images in {}{}", shards_text(*.shards), faults_text(.faults)
    )]
    NoImages {
        /// The number of shards.
        shards: usize,
        /// The faults of the shards.
        faults: Vec<ShardFault>,
    },
    /// A sample whose bytes cannot be read; the stream goes on with the next sample.
    #[error("shard `{shard}` cannot be read at byte {offset}, sample `{key}`")]
    Sample {
        /// The name of the shard.
        shard: Arc<str>,
        /// The byte at which the image's data begins.
        offset: u64,
        /// The key of the sample; `#` and its index if the key cannot be read either.
        key: String,
        /// The cause.
        source: io::Error,
    },
    /// Members of a shard that cannot be read for a copy.
    #[error("shard `{shard}` cannot be read at byte {offset}")]
    Read {
        /// The name of the shard.
        shard: Arc<str>,
        /// The byte at which reading began.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// An index beyond the last sample.
    #[error("no sample {index} in a set of {len} samples")]
    Index {
        /// The requested index.
        index: u64,
        /// The number of samples.
        len: u64,
    },
    /// A text that is not a [`Shuffle`](crate::Shuffle).
    #[error("unknown shuffle `{text}`")]
    Shuffle {
        /// The text.
        text: String,
    },
    /// A rank that is not below the number of ranks.
    #[error("rank {rank} is not below the number of ranks, {ranks}")]
    Rank {
        /// The rank.
        rank: usize,
        /// The number of ranks.
        ranks: usize,
    },
    /// A number of ranks that cannot share the partitions equally.
    #[error("{ranks} ranks cannot share {partitions} partitions equally, but {} can", either(*.fewer, *.more))]
    Ranks {
        /// The number of ranks.
        ranks: usize,
        /// The number of partitions.
        partitions: usize,
        /// The next smaller number of ranks that can.
        fewer: Option<usize>,
        /// The next larger number of ranks that can.
        more: usize,
    },
    /// A batch that cannot be divided equally.
    #[error(
        "a batch of {batch} cannot be divided equally{}, but one of {} can",
        among([(*.ranks, "ranks"), (*.parts, "parts"), (*.partitions, "partitions")]), either(*.smaller, *.larger)
    )]
    Batch {
        /// The number of samples in the batch.
        batch: usize,
        /// The number of parts.
        parts: usize,
        /// The number of partitions.
        partitions: usize,
        /// The number of ranks.
        ranks: usize,
        /// The next smaller batch that can be divided.
        smaller: Option<usize>,
        /// The next larger batch that can be divided.
        larger: usize,
    },
    /// A set with fewer samples than partitions.
    #[error("{samples} samples cannot be divided into {partitions} partitions")]
    TooFew {
        /// The number of samples.
        samples: u64,
        /// The number of partitions.
        partitions: usize,
    },
    /// A position past the end of an epoch: it belongs to another set, or to another number of partitions.
    #[error("position {offset} is past the end of an epoch of {length} samples")]
    Position {
        /// The position's offset.
        offset: u64,
        /// The number of samples of each partition in an epoch.
        length: u64,
    },
    /// Threads that the system does not start.
    #[error("cannot start the threads that read ahead")]
    Threads {
        /// The cause.
        source: io::Error,
    },
    /// A shard that cannot be written. An earlier file of its name is untouched.
    #[error("cannot write shard `{path}`")]
    Write {
        /// The path of the shard.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A key under which no sample can be written.
    #[error("shard `{path}`: invalid key `{key}`: {reason}")]
    Key {
        /// The path of the shard.
        path: PathBuf,
        /// The key.
        key: String,
        /// The reason, as a clause about the key.
        reason: &'static str,
    },
}

impl Error {
    /// Returns the cure, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Pattern(error) => error.hint().map(Hint::Pattern),
            Self::Unavailable(error) => error.hint.clone().map(Hint::Remote),
            Self::SmallCache { bytes, .. } => Some(Hint::Cache { bytes: *bytes }),
            Self::Open { source, .. } => Some(Hint::Access(AccessHint::of(source))),
            Self::NotTar { hint, .. } => Some(Hint::Content(hint.clone())),
            Self::Compressed { command, .. } => {
                Some(Hint::Content(ContentHint::Decompress { command: command.clone() }))
            }
            Self::Unsupported { .. } => Some(Hint::RewriteTar),
            Self::Label { .. } => Some(Hint::NumberClasses),
            Self::NoImages { faults, .. } => {
                Some(if faults.is_empty() { Hint::Images } else { Hint::Verify })
            }
            Self::Shuffle { .. } => Some(Hint::Shuffle),
            Self::Read { .. } => Some(Hint::Disk),
            Self::Write { source, .. } => Some(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Hint::Space,
                _ => Hint::Folder,
            }),
            Self::Sample { .. }
            | Self::Index { .. }
            | Self::Rank { .. }
            | Self::Ranks { .. }
            | Self::Batch { .. }
            | Self::TooFew { .. }
            | Self::Position { .. }
            | Self::Threads { .. }
            | Self::Key { .. } => None,
        }
    }
}

/// Writes a number of bytes in MB or GB, rounded up.
fn size_text(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{:.1} GB", (bytes as f64 / 1e8).ceil() / 10.0),
    }
}

/// Names one or two possible numbers: `2 or 4`.
fn either(smaller: Option<usize>, larger: usize) -> String {
    smaller.map_or_else(|| larger.to_string(), |smaller| format!("{smaller} or {larger}"))
}

/// Lists what shares a batch, without what there is one of: ` among 2 ranks and 4 partitions`.
fn among(counts: [(usize, &str); 3]) -> String {
    let several: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count != 1)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match several.as_slice() {
        [] => String::new(),
        [only] => format!(" among {only}"),
        [others @ .., last] => format!(" among {} and {last}", others.join(", ")),
    }
}

fn but(what: Option<&'static str>) -> String {
    what.map_or_else(String::new, |what| format!(" but {what}"))
}

fn shards_text(shards: usize) -> String {
    if shards == 1 { "the shard".to_owned() } else { format!("any of the {shards} shards") }
}

/// Lists the first few faults, after a colon.
fn faults_text(faults: &[ShardFault]) -> String {
    const SHOWN: usize = 3;
    let shown = faults.iter().take(SHOWN).map(|fault| format!("`{}`: {}", fault.shard, fault.reason));
    let mut texts: Vec<String> = shown.collect();
    if faults.len() > SHOWN {
        texts.push(format!("and {} more", faults.len() - SHOWN));
    }
    if texts.is_empty() { String::new() } else { format!(": {}", texts.join("; ")) }
}
