//! What can go wrong while reading shards.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    fault::ShardFault,
    hint::{ContentHint, Hint},
    pattern::{AccessHint, PatternError},
};

/// The result of reading shards.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while reading or writing shards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pattern does not name shards.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A shard cannot be opened or mapped.
    #[error("cannot open shard `{path}`")]
    Open {
        /// The shard.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is no tar.
    #[error("`{shard}` is not a tar file{}", but(*.what))]
    NotTar {
        /// The file.
        shard: Arc<str>,
        /// What it is instead, where that is known.
        what: Option<&'static str>,
        /// What can be done about it.
        hint: ContentHint,
    },
    /// A file is compressed as a whole, so that its samples cannot be reached.
    #[error("`{shard}` is compressed with {format}, shards are plain tar files")]
    Compressed {
        /// The file.
        shard: Arc<str>,
        /// The compression.
        format: &'static str,
        /// The command that undoes it.
        command: String,
    },
    /// A shard uses a form of tar that is not read.
    #[error("shard `{shard}` holds {what} at byte {offset}, which is not supported")]
    Unsupported {
        /// The shard.
        shard: Arc<str>,
        /// Byte of the header.
        offset: u64,
        /// What is there.
        what: &'static str,
    },
    /// The label of a `cls` member is none.
    #[error(
        "shard `{shard}`, sample `{key}`: label `{value}` in `cls` is not an integer from 0 to 999999, nor -1 for unlabelled"
    )]
    Label {
        /// The shard.
        shard: Arc<str>,
        /// The sample.
        key: String,
        /// The label as it stands there.
        value: String,
    },
    /// No shard of a set holds images.
    #[error(
        "there are no images in {}{}", shards_text(*.shards), faults_text(.faults)
    )]
    NoImages {
        /// How many shards there are.
        shards: usize,
        /// What is wrong with them.
        faults: Vec<ShardFault>,
    },
    /// The bytes of one sample cannot be read; the stream goes on with the next sample.
    #[error("shard `{shard}` cannot be read at byte {offset}, sample `{key}`")]
    Sample {
        /// The shard.
        shard: Arc<str>,
        /// Byte at which the image's data begins.
        offset: u64,
        /// The sample; `#` and its index where its key cannot be read either.
        key: String,
        /// The cause.
        source: io::Error,
    },
    /// The members of a shard cannot be read to be copied.
    #[error("shard `{shard}` cannot be read at byte {offset}")]
    Read {
        /// The shard.
        shard: Arc<str>,
        /// Byte at which reading began.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// There is no sample of that number.
    #[error("there is no sample {index} among {len}")]
    Index {
        /// What was asked for.
        index: u64,
        /// Samples there are.
        len: u64,
    },
    /// A text that names no way of shuffling.
    #[error("`{text}` is no way to shuffle")]
    Shuffle {
        /// The text.
        text: String,
    },
    /// A rank that does not exist.
    #[error("rank {rank} is not among {world_size} ranks, which count from 0")]
    Share {
        /// The rank.
        rank: usize,
        /// How many there are.
        world_size: usize,
    },
    /// There is not even one sample for each rank.
    #[error("{samples} samples are too few for {world_size} ranks")]
    TooFew {
        /// Samples there are.
        samples: u64,
        /// Ranks there are.
        world_size: usize,
    },
    /// A position lies past the end of an epoch: it is of another set, or of another number of ranks.
    #[error("cannot go on at sample {offset} of an epoch of {length}")]
    Position {
        /// The position's offset.
        offset: u64,
        /// Samples of this rank in an epoch.
        length: u64,
    },
    /// The system gives no more threads.
    #[error("cannot start the threads that read ahead")]
    Threads {
        /// The cause.
        source: io::Error,
    },
    /// A shard cannot be written; what was there before is untouched.
    #[error("cannot write shard `{path}`")]
    Write {
        /// The shard.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A sample cannot be written under this key.
    #[error("shard `{path}`: `{key}` cannot be a key: {reason}")]
    Key {
        /// The shard being written.
        path: PathBuf,
        /// The key as given.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
    /// What can be done about it, where that is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Pattern(error) => error.hint().map(Hint::Pattern),
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
            | Self::Share { .. }
            | Self::TooFew { .. }
            | Self::Position { .. }
            | Self::Threads { .. }
            | Self::Key { .. } => None,
        }
    }
}

fn but(what: Option<&'static str>) -> String {
    what.map_or_else(String::new, |what| format!(" but {what}"))
}

fn shards_text(shards: usize) -> String {
    if shards == 1 { "the shard".to_owned() } else { format!("any of the {shards} shards") }
}

/// The first few faults, after a colon.
fn faults_text(faults: &[ShardFault]) -> String {
    const SHOWN: usize = 3;
    let shown = faults.iter().take(SHOWN).map(|fault| format!("`{}`: {}", fault.shard, fault.reason));
    let mut texts: Vec<String> = shown.collect();
    if faults.len() > SHOWN {
        texts.push(format!("and {} more", faults.len() - SHOWN));
    }
    if texts.is_empty() { String::new() } else { format!(": {}", texts.join("; ")) }
}
