//! Cures of patterns.

use std::path::PathBuf;

use super::access::AccessHint;

/// The cure of a pattern, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternHint {
    /// Name shards, by patterns such as `data/train-<000..146>.tar`.
    Name,
    /// Write the range in this order.
    Range(String),
    /// Use this glob if the existing files are all there should be.
    Glob(String),
    /// Use this pattern: the file's name ends with `.tar`.
    Extension(String),
    /// Decompress the file with this program.
    Decompress {
        /// The compressed file.
        file: String,
        /// The program.
        program: &'static str,
    },
    /// Use one of these patterns.
    Patterns(Vec<String>),
    /// Name training and validation shards separately.
    Parts {
        /// Patterns for the training shards.
        train: Vec<String>,
        /// Patterns for the validation shards.
        validation: Vec<String>,
    },
    /// Make shards, or name the folder that contains them.
    Pack,
    /// Name a file in a folder, such as `data/train-<000..146>.tar`.
    FileInFolder,
    /// Use the existing folder with the most similar name.
    NearestFolder {
        /// The existing folder.
        folder: PathBuf,
        /// The pattern with that folder.
        pattern: String,
    },
    /// Change the current folder, in which relative paths begin, or give an absolute path.
    CurrentFolder,
    /// Name a folder that exists.
    ExistingFolder,
    /// Quote the pattern, which is probably this one.
    Quote(String),
    /// Remove one of the two names, or one of two overlapping patterns.
    Overlap,
    /// Copy the shards to this machine, then name the files.
    Local {
        /// The place where they are.
        place: Elsewhere,
        /// Whether the argument contains several patterns, each of which must be an argument of its own.
        is_one_of_several: bool,
    },
    /// Write each of these patterns as an argument of its own.
    Apart(Vec<String>),
    /// Remove the quotes around this pattern.
    Unquote(String),
    /// Correct the link or remove it.
    Link,
    /// Write the bytes to a file and name that.
    RegularFile,
    /// Correct the name or the content of the list.
    List(ListHint),
    /// Make the file accessible.
    Access(AccessHint),
    /// Name either local files or addresses on servers.
    OneKind,
    /// Build the program with the feature `remote`.
    Feature,
    /// Check the names, or name only the existing shards.
    Names,
    /// Name the files of a web server by ranges or by a list, `@list.txt`.
    NoGlob,
}

/// The cure for a list of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListHint {
    /// Name a list by `@` and the path of a text file with one pattern per line.
    Path,
    /// Name a text file with one pattern per line, or, without `@`, the shards in the folder.
    Folder,
    /// Let this user read the list.
    Permission,
    /// Remove the `@` if the file is a shard; save a list as UTF-8.
    NoText,
    /// Write one pattern per line into the list.
    Empty,
    /// Copy the lines of the inner list into the outer one.
    Nested,
}

/// A kind of place from which shards are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// A URL of a local file, with the path if it can be derived.
    FileUrl(Option<String>),
    /// The output of a command, with the address that it reads if there is one.
    Command(Option<String>),
    /// A web server.
    Web,
    /// The Hugging Face hub, with the web address of the file if it can be derived.
    HuggingFace(Option<String>),
    /// An object store.
    Store,
    /// Another machine.
    Machine,
}

impl Elsewhere {
    /// Names the kind of pattern.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::FileUrl(_) => "a URL",
            Self::Command(_) => "what a command writes",
            Self::Web => "a web address",
            Self::HuggingFace(_) => "an address at Hugging Face",
            Self::Store => "an address of a store on other machines",
            Self::Machine => "a file of another machine",
        }
    }
}
