//! What can be done about an error.

use crate::pattern::{AccessHint, PatternHint};

/// What can be done about an error, as data: a program puts it into words, with its own commands and flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Name the shards otherwise.
    Pattern(PatternHint),
    /// Make a shard accessible, or leave it out.
    Access(AccessHint),
    /// Replace a file that is no shard.
    Content(ContentHint),
    /// Write the shard anew in GNU format, without sparse files.
    RewriteTar,
    /// Number the classes from 0 on and write the shard anew.
    NumberClasses,
    /// Name shards with images: members `jpg`, `jpeg`, `png` or `webp`.
    Images,
    /// Verify the shards: that tells what is wrong with each.
    Verify,
    /// Write `global`, `none`, or `window:N` with N samples from 1 on.
    Shuffle,
    /// Check the disk of the shard, then do the same again.
    Disk,
    /// Free space on the disk.
    Space,
    /// Check free space and permissions of the folder.
    Folder,
}

/// What can be done about a file that is no tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentHint {
    /// Unpack it by this command.
    Decompress {
        /// The command.
        command: String,
    },
    /// Unpack it by this program, then make shards of its images.
    Unpack {
        /// The program.
        program: &'static str,
    },
    /// Take its images out, then make shards of them.
    Extract,
    /// Make shards of the folder in which it lies.
    Pack,
    /// Fetch the file itself with `git lfs pull`.
    GitLfs,
    /// Download the shard again: the page may tell why it did not come.
    Download,
    /// Name it as a list, by this pattern.
    List {
        /// The pattern.
        pattern: String,
    },
    /// Name only shards.
    Shards {
        /// A pattern for those beside it, if it is not called as one itself.
        pattern: Option<String>,
    },
}
