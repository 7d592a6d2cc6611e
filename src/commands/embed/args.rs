//! The flags of `embed`.

use std::path::PathBuf;

use torchkit::DeviceChoice;

use crate::servers::ServerArgs;

/// The flags of `embed`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// Shards to read; samples need no label
    #[arg(long, value_name = "PATTERN", num_args = 1.., required = true)]
    pub shards: Vec<String>,
    /// Folder to write to, a file for each shard. The same command again goes on with the shards that have no
    /// file
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// parquet (key, label, the class's name if it is known, embedding) or npy (the embeddings, with the
    /// others in a text file beside them)
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    pub format: Format,
    /// Embed all shards again and replace the files of an earlier call
    #[arg(long)]
    pub force: bool,
    /// Layer whose mean over all locations is written: features; r5 or r7 of AMDIM's encoder; layer1 to
    /// layer3 of a ResNet; `last_conv` of exemplar
    #[arg(long, default_value = "features")]
    pub layer: String,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Decoding threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = crate::numbers::THREADS.parser::<usize>())]
    pub workers: Option<usize>,
    /// How shards on servers are read
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Apache Parquet, compressed by zstd.
    Parquet,
    /// `NumPy`'s format, f32, and a text file of keys and labels.
    Npy,
}

impl Format {
    /// Returns the extension of the files' names.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Npy => "npy",
        }
    }
}
