//! Cures of errors, as data.

use crate::pattern::{AccessHint, PatternHint};

/// The cure of an error, as data: the program words it, with its own commands and flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Name the shards differently.
    Pattern(PatternHint),
    /// Make a shard accessible, or leave it out.
    Access(AccessHint),
    /// Replace a file that is not a shard.
    Content(ContentHint),
    /// Rewrite the shard in GNU format, without sparse files.
    RewriteTar,
    /// Number the classes from 0 and rewrite the shard.
    NumberClasses,
    /// Name shards with images: members `jpg`, `jpeg`, `png` or `webp`.
    Images,
    /// Verify the shards to see what is wrong with each.
    Verify,
    /// Write `global`, `none`, or `window:N` with N samples from 1 on.
    Shuffle,
    /// Check the disk of the shard, then try again.
    Disk,
    /// Free space on the disk.
    Space,
    /// Check free space and permissions of the folder.
    Folder,
}

/// The cure for a file that is not a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentHint {
    /// Decompress it with this command.
    Decompress {
        /// The command.
        command: String,
    },
    /// Unpack it with this program, then make shards of its images.
    Unpack {
        /// The program.
        program: &'static str,
    },
    /// Extract its images, then make shards of them.
    Extract,
    /// Make shards of the folder that contains it.
    Pack,
    /// Fetch the file itself with `git lfs pull`.
    GitLfs,
    /// Download the shard again; the downloaded page may say why it failed.
    Download,
    /// Name it as a list, with this pattern.
    List {
        /// The pattern.
        pattern: String,
    },
    /// Name only shards.
    Shards {
        /// A pattern for the shards beside the file, unless the file itself has a tar's name.
        pattern: Option<String>,
    },
}
