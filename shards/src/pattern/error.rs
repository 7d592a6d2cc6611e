//! What can be wrong with a pattern.

use std::{fmt, io, path::PathBuf};

/// The result of reading patterns.
pub(super) type Result<T> = std::result::Result<T, PatternError>;

/// What can be wrong with a pattern. Each says what was expected, what is there, and how to put it right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// There is no pattern.
    #[error("no shards are named\nhint: for example --shards 'data/train-<000..146>.tar'")]
    Nothing,
    /// A pattern cannot be understood.
    #[error("pattern `{pattern}`: {reason}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Numbers that count down.
    #[error("pattern `{pattern}`: `{range}` counts down\nhint: write `{upward}`")]
    Descending {
        /// The pattern.
        pattern: String,
        /// The range.
        range: String,
        /// The range the other way round.
        upward: String,
    },
    /// More files than anyone has.
    #[error("the patterns stand for {count} shards; at most 10000000 are read")]
    TooMany {
        /// How many files they name.
        count: u64,
    },
    /// Some of the files do not exist.
    #[error("{subject} {count} shards; missing {missing}; found {found}{hint}")]
    Gap {
        /// The pattern with its verb, or how many there are.
        subject: String,
        /// How many files they name.
        count: usize,
        /// Those that are missing.
        missing: Listing,
        /// Those that are there.
        found: Listing,
        /// What to type if the others are all, on a line of its own.
        hint: String,
    },
    /// None of the files exists.
    #[error("there is no {missing}; {there}{hint}")]
    NoMatch {
        /// What was looked for.
        missing: Listing,
        /// What is there instead.
        there: String,
        /// What to type instead, on a line of its own.
        hint: String,
    },
    /// A pattern of which the shell has taken a part.
    #[error(
        "there is no file `{argument}`, only {found}: the shell took the rest for a redirection\nhint: quote the pattern: --shards '{pattern}'"
    )]
    Swallowed {
        /// What is left of it.
        argument: String,
        /// The files that begin with it.
        found: Listing,
        /// What was probably meant.
        pattern: String,
    },
    /// A folder.
    #[error("`{path}` is a folder, which holds {found}{hint}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The tar files in it.
        found: String,
        /// What to type instead.
        hint: String,
    },
    /// A file is named more than once, so that its samples would count double.
    #[error("`{path}` is named twice{also}\nhint: remove one, or a pattern that overlaps with another")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The other name that it has, as a clause; empty where both are spelled alike.
        also: String,
    },
    /// A URL, or something else that is no file here.
    #[error("`{pattern}` is {what}, but shards are local files\nhint: {hint}")]
    Address {
        /// The pattern.
        pattern: String,
        /// What it is.
        what: &'static str,
        /// What to do instead.
        hint: String,
    },
    /// Several patterns in one.
    #[error(
        "`{pattern}` joins several patterns; each of them is an argument of its own\nhint: write {apart}"
    )]
    Joined {
        /// The pattern.
        pattern: String,
        /// The patterns as arguments.
        apart: String,
    },
    /// Quotes that have become part of a pattern.
    #[error("`{pattern}` has quotes in it, and no file of that name is there\nhint: write {inside}")]
    Quoted {
        /// The pattern.
        pattern: String,
        /// What is within the quotes.
        inside: String,
    },
    /// A link that leads nowhere.
    #[error(
        "`{path}` is a link to `{target}`, which does not exist\nhint: let the link lead to the shard, or remove it"
    )]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A pipe, a device or the like.
    #[error("`{path}` is {what}, but shards are files\nhint: write its bytes to a file, then name that")]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file cannot be looked at.
    #[error("cannot open shard `{path}`\nhint: {}", open_cure(.source))]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list cannot be read.
    #[error("cannot read the list `{path}`\nhint: {}", list_cure(.source))]
    List {
        /// The list.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A shard named as a list.
    #[error(
        "`@{path}` names a list of patterns, but the file is no text\nhint: if it is a shard, leave out the `@`; a list is saved as UTF-8"
    )]
    NoList {
        /// The file.
        path: PathBuf,
    },
    /// A list without a pattern.
    #[error(
        "the list `{path}` names no shards\nhint: write one pattern a line into it; lines that begin with `#` are comments"
    )]
    EmptyList {
        /// The list.
        path: PathBuf,
    },
    /// A list inside of a list.
    #[error(
        "the list `{path}` names another list, `{line}`, which is not supported\nhint: write the lines of that list into this one"
    )]
    Nested {
        /// The outer list.
        path: PathBuf,
        /// The line.
        line: String,
    },
}

/// Error numbers of a process, and of a system, that have too many files open.
const TOO_MANY_OPEN: [i32; 2] = [libc::EMFILE, libc::ENFILE];

pub(crate) fn open_cure(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if error.raw_os_error().is_some_and(|number| TOO_MANY_OPEN.contains(&number)) => {
            "allow more open files, in the shell that starts the program: ulimit -n 4096"
        }
        io::ErrorKind::PermissionDenied => {
            "let this user read the file and enter its folders, or leave it out of the shards that are named"
        }
        io::ErrorKind::NotFound => {
            "it was there a moment ago: bring it back, then run the same command again"
        }
        _ => "see to the file, its permissions and its disk, or leave it out of the shards that are named",
    }
}

fn list_cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "`@` and the path of a text with one pattern a line; a relative path begins in the current folder"
        }
        io::ErrorKind::IsADirectory => {
            "name a text with one pattern a line, or without `@` the shards in the folder"
        }
        _ => "let this user read it",
    }
}

/// A few names standing for many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(pub Vec<String>);

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let shown = if self.0.len() > SHOWN + 1 { SHOWN } else { self.0.len() };
        for (number, name) in self.0.iter().take(shown).enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}`{name}`")?;
        }
        match (self.0.len() - shown, self.0.last()) {
            (0, _) | (_, None) => Ok(()),
            (more, Some(last)) => write!(f, " … `{last}` ({} in all)", shown + more),
        }
    }
}
