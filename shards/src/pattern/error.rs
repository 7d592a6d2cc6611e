//! What can be wrong with a pattern.

use std::{fmt, io, path::PathBuf};

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
    #[error("`{path}` is named twice\nhint: remove one, or a pattern that overlaps with another")]
    Twice {
        /// The file.
        path: PathBuf,
    },
    /// A list cannot be read.
    #[error("cannot read the list `{path}`")]
    List {
        /// The list.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list without a pattern.
    #[error("the list `{path}` names no shards")]
    EmptyList {
        /// The list.
        path: PathBuf,
    },
    /// A list inside of a list.
    #[error("the list `{path}` names another list, `{line}`, which is not supported")]
    Nested {
        /// The outer list.
        path: PathBuf,
        /// The line.
        line: String,
    },
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
