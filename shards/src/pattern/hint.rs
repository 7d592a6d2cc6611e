//! What to name instead.

use std::path::PathBuf;

use super::access::AccessHint;

/// What can be done about a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternHint {
    /// Name shards, by patterns such as `data/train-<000..146>.tar`.
    Name,
    /// Write the range this way round.
    Range(String),
    /// Name those that are there by this glob, if they are all.
    Glob(String),
    /// The file ends with `.tar`: name it by this pattern.
    Extension(String),
    /// The file is there, but compressed: unpack it by this program.
    Decompress {
        /// The compressed file.
        file: String,
        /// The program.
        program: &'static str,
    },
    /// Name it by one of these patterns.
    Patterns(Vec<String>),
    /// Name training and validation shards, each by themselves.
    Parts {
        /// Patterns for the training shards.
        train: Vec<String>,
        /// Patterns for the validation shards.
        validation: Vec<String>,
    },
    /// There are no shards: make some, or name the folder where they are.
    Pack,
    /// Name a file in a folder, as in `data/train-<000..146>.tar`.
    FileInFolder,
    /// The nearest name to that of the missing folder.
    NearestFolder {
        /// The folder that is there.
        folder: PathBuf,
        /// The pattern, in that folder.
        pattern: String,
    },
    /// A relative path begins in the current folder: change that, or name the whole path.
    CurrentFolder,
    /// Name a folder that exists.
    ExistingFolder,
    /// Quote the pattern, which is probably this one.
    Quote(String),
    /// Remove one of two names, or a pattern that overlaps with another.
    Overlap,
    /// Bring the shards to this machine, then name the files.
    Local {
        /// Where they are.
        place: Elsewhere,
        /// Whether the argument holds several patterns, each of which is an argument of its own.
        is_one_of_several: bool,
    },
    /// Write each of these patterns as an argument of its own.
    Apart(Vec<String>),
    /// Leave out the quotes: what is within them.
    Unquote(String),
    /// Let the link lead to the shard, or remove it.
    Link,
    /// Write the bytes to a file, then name that.
    RegularFile,
    /// Name the list otherwise, or mend it.
    List(ListHint),
    /// Make the file accessible.
    Access(AccessHint),
}

/// What can be done about a list of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListHint {
    /// A list is named by `@` and the path of a text with one pattern a line.
    Path,
    /// Name a text with one pattern a line, or without `@` the shards in the folder.
    Folder,
    /// Let this user read the list.
    Permission,
    /// If the file is a shard, leave out the `@`; a list is saved as UTF-8.
    NoText,
    /// Write one pattern a line into the list.
    Empty,
    /// Write the lines of the inner list into the outer one.
    Nested,
}

/// A place from which shards are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// A URL of a local file, with its path where that can be told.
    FileUrl(Option<String>),
    /// The output of a command.
    Command,
    /// A web server.
    Web,
    /// The Hugging Face hub.
    HuggingFace,
    /// An object store.
    Store,
    /// Another machine.
    Machine,
}

impl Elsewhere {
    /// What such a pattern is.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::FileUrl(_) => "a URL",
            Self::Command => "what a command writes",
            Self::Web => "a web address",
            Self::HuggingFace => "an address at Hugging Face",
            Self::Store => "an address of a store on other machines",
            Self::Machine => "a file of another machine",
        }
    }
}
