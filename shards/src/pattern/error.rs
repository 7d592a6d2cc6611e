//! Errors of patterns.

use std::{fmt, io, path::PathBuf};

use super::{
    access::AccessHint,
    hint::{Elsewhere, ListHint, PatternHint},
};

/// The result of reading patterns.
pub(super) type Result<T> = std::result::Result<T, PatternError>;

/// An error of a pattern. The message says what was expected and what is there; [`hint`](Self::hint) how to
/// correct it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// An empty list of patterns.
    #[error("no shards are named")]
    Nothing,
    /// A pattern that cannot be parsed.
    #[error("pattern `{pattern}`: {reason}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// The syntax error.
        reason: &'static str,
    },
    /// A range that counts down.
    #[error("pattern `{pattern}`: `{range}` counts down")]
    Descending {
        /// The pattern.
        pattern: String,
        /// The range as written.
        range: String,
        /// The range in ascending order.
        upward: String,
    },
    /// Patterns that stand for too many files.
    #[error("the patterns stand for {count} shards; at most 10000000 are read")]
    TooMany {
        /// The number of files.
        count: u64,
    },
    /// Patterns of whose files some do not exist.
    #[error("{subject} {count} shards; missing {missing}; found {found}")]
    Gap {
        /// The pattern with its verb, or the number of patterns.
        subject: String,
        /// The number of files that the patterns name.
        count: usize,
        /// The missing files.
        missing: Listing,
        /// The existing files.
        found: Listing,
        /// A glob for the existing files.
        glob: String,
    },
    /// Patterns of whose files none exists.
    #[error("there is no {missing}; {there}")]
    NoMatch {
        /// The missing files.
        missing: Listing,
        /// A description of what is there instead.
        there: String,
        /// The cure.
        hint: PatternHint,
    },
    /// A pattern of which the shell has taken a part.
    #[error("there is no file `{argument}`, only {found}: the shell took the rest for a redirection")]
    Swallowed {
        /// The rest of the pattern.
        argument: String,
        /// The existing files that begin with it.
        found: Listing,
        /// The pattern that was probably meant.
        pattern: String,
    },
    /// A folder instead of shards.
    #[error("`{path}` is a folder, which holds {found}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The tar files in it, as text.
        found: String,
        /// The cure.
        hint: PatternHint,
    },
    /// A file that is named more than once, so that its samples would count twice.
    #[error("`{path}` is named twice{also}")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The file's other name, as a clause; empty if both are spelled alike.
        also: String,
    },
    /// An address, or another form that is not read.
    #[error("`{pattern}` is {}, which is not read here", .place.kind())]
    Address {
        /// The pattern.
        pattern: String,
        /// The kind of place it leads to.
        place: Elsewhere,
        /// Whether it was one of several patterns in an argument.
        is_one_of_several: bool,
    },
    /// Several patterns in one argument.
    #[error("`{pattern}` joins several patterns; each of them is an argument of its own")]
    Joined {
        /// The pattern.
        pattern: String,
        /// The separate patterns.
        apart: Vec<String>,
    },
    /// A pattern with literal quotes.
    #[error("`{pattern}` has quotes in it, and no file of that name is there")]
    Quoted {
        /// The pattern.
        pattern: String,
        /// The text within the quotes.
        inside: String,
    },
    /// A link to a missing file.
    #[error("`{path}` is a link to `{target}`, which does not exist")]
    Dangling {
        /// The link.
        path: PathBuf,
        /// The target of the link.
        target: PathBuf,
    },
    /// A pipe, a device or the like.
    #[error("`{path}` is {what}, but shards are files")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of file.
        what: &'static str,
    },
    /// A file whose metadata cannot be read.
    #[error("cannot open shard `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list that cannot be read.
    #[error("cannot read the list `{path}`")]
    List {
        /// The list.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list that is not text, probably a shard.
    #[error("`@{path}` names a list of patterns, but the file is not text")]
    NoList {
        /// The file.
        path: PathBuf,
    },
    /// A list without patterns.
    #[error("the list `{path}` names no shards")]
    EmptyList {
        /// The list.
        path: PathBuf,
    },
    /// Local files and addresses on servers together.
    #[error("`{local}` is a local file, but other shards are on servers")]
    Mixed {
        /// The first local file.
        local: String,
    },
    /// An address on a server, in a program without the feature `remote`.
    #[error("`{url}` is on a server, but this program was built without the feature `remote`")]
    NoFeature {
        /// The address.
        url: String,
    },
    /// An address that is not one of an object.
    #[error("`{url}` cannot be read: {reason}")]
    Url {
        /// The address, without secrets.
        url: String,
        /// The reason, as a clause.
        reason: &'static str,
    },
    /// A glob on a web server.
    #[error("`{url}` has a glob in it, but web servers give no list of their files")]
    WebGlob {
        /// The address.
        url: String,
    },
    /// A glob that no object matches.
    #[error("no object on the server matches `{pattern}`")]
    NoObject {
        /// The pattern.
        pattern: String,
    },
    /// Objects that do not exist.
    #[error("{} of {count} shards {} not on the server: {missing}", .missing.0.len(), if .missing.0.len() == 1 { "is" } else { "are" })]
    Absent {
        /// The missing objects.
        missing: Listing,
        /// The number of objects that are named.
        count: usize,
    },
    /// A list that names another list.
    #[error("the list `{path}` names another list, `{line}`, which is not supported")]
    Nested {
        /// The outer list.
        path: PathBuf,
        /// The line that names the inner list.
        line: String,
    },
}

impl PatternError {
    /// Returns the cure, if one is known.
    pub fn hint(&self) -> Option<PatternHint> {
        Some(match self {
            Self::Nothing => PatternHint::Name,
            Self::Syntax { .. } | Self::TooMany { .. } | Self::Url { .. } => return None,
            Self::Mixed { .. } => PatternHint::OneKind,
            Self::NoFeature { .. } => PatternHint::Feature,
            Self::WebGlob { .. } => PatternHint::NoGlob,
            Self::NoObject { .. } | Self::Absent { .. } => PatternHint::Names,
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

/// A list of names that is shortened when displayed.
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
