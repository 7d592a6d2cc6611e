//! What can be wrong with a pattern.

use std::{fmt, io, path::PathBuf};

use super::{
    access::AccessHint,
    hint::{Elsewhere, ListHint, PatternHint},
};

/// The result of reading patterns.
pub(super) type Result<T> = std::result::Result<T, PatternError>;

/// What can be wrong with a pattern. Each says what was expected and what is there; [`hint`](Self::hint) how to put it right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// There is no pattern.
    #[error("no shards are named")]
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
    #[error("pattern `{pattern}`: `{range}` counts down")]
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
    #[error("{subject} {count} shards; missing {missing}; found {found}")]
    Gap {
        /// The pattern with its verb, or how many there are.
        subject: String,
        /// How many files they name.
        count: usize,
        /// Those that are missing.
        missing: Listing,
        /// Those that are there.
        found: Listing,
        /// What to name if the others are all.
        glob: String,
    },
    /// None of the files exists.
    #[error("there is no {missing}; {there}")]
    NoMatch {
        /// What was looked for.
        missing: Listing,
        /// What is there instead.
        there: String,
        /// What to name instead.
        hint: PatternHint,
    },
    /// A pattern of which the shell has taken a part.
    #[error("there is no file `{argument}`, only {found}: the shell took the rest for a redirection")]
    Swallowed {
        /// What is left of it.
        argument: String,
        /// The files that begin with it.
        found: Listing,
        /// What was probably meant.
        pattern: String,
    },
    /// A folder.
    #[error("`{path}` is a folder, which holds {found}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The tar files in it.
        found: String,
        /// What to name instead.
        hint: PatternHint,
    },
    /// A file is named more than once, so that its samples would count double.
    #[error("`{path}` is named twice{also}")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The other name that it has, as a clause; empty where both are spelled alike.
        also: String,
    },
    /// A URL, or something else that is no file here.
    #[error("`{pattern}` is {}, but shards are local files", .place.what())]
    Address {
        /// The pattern.
        pattern: String,
        /// Where it leads.
        place: Elsewhere,
        /// Whether it was one of several patterns in an argument.
        is_one_of_several: bool,
    },
    /// Several patterns in one.
    #[error("`{pattern}` joins several patterns; each of them is an argument of its own")]
    Joined {
        /// The pattern.
        pattern: String,
        /// The patterns as arguments.
        apart: Vec<String>,
    },
    /// Quotes that have become part of a pattern.
    #[error("`{pattern}` has quotes in it, and no file of that name is there")]
    Quoted {
        /// The pattern.
        pattern: String,
        /// What is within the quotes.
        inside: String,
    },
    /// A link that leads nowhere.
    #[error("`{path}` is a link to `{target}`, which does not exist")]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A pipe, a device or the like.
    #[error("`{path}` is {what}, but shards are files")]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file cannot be looked at.
    #[error("cannot open shard `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list cannot be read.
    #[error("cannot read the list `{path}`")]
    List {
        /// The list.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A shard named as a list.
    #[error("`@{path}` names a list of patterns, but the file is no text")]
    NoList {
        /// The file.
        path: PathBuf,
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

impl PatternError {
    /// What can be done about it, where that is known.
    pub fn hint(&self) -> Option<PatternHint> {
        Some(match self {
            Self::Nothing => PatternHint::Name,
            Self::Syntax { .. } | Self::TooMany { .. } => return None,
            Self::Descending { upward, .. } => PatternHint::Range(upward.clone()),
            Self::Gap { glob, .. } => PatternHint::Glob(glob.clone()),
            Self::NoMatch { hint, .. } | Self::Folder { hint, .. } => hint.clone(),
            Self::Swallowed { pattern, .. } => PatternHint::Quote(pattern.clone()),
            Self::Twice { .. } => PatternHint::Overlap,
            Self::Address { place, is_one_of_several, .. } => {
                PatternHint::Local { place: place.clone(), is_one_of_several: *is_one_of_several }
            }
            Self::Joined { apart, .. } => PatternHint::Apart(apart.clone()),
            Self::Quoted { inside, .. } => PatternHint::Unquote(inside.clone()),
            Self::Dangling { .. } => PatternHint::Link,
            Self::NotAFile { .. } => PatternHint::RegularFile,
            Self::Open { source, .. } => PatternHint::Access(AccessHint::of(source)),
            Self::List { source, .. } => PatternHint::List(of_list(source)),
            Self::NoList { .. } => PatternHint::List(ListHint::NoText),
            Self::EmptyList { .. } => PatternHint::List(ListHint::Empty),
            Self::Nested { .. } => PatternHint::List(ListHint::Nested),
        })
    }
}

fn of_list(error: &io::Error) -> ListHint {
    match error.kind() {
        io::ErrorKind::NotFound => ListHint::Path,
        io::ErrorKind::IsADirectory => ListHint::Folder,
        _ => ListHint::Permission,
    }
}

/// A few names source for many.
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
