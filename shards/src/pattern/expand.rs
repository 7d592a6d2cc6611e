//! Expands patterns to files.

use std::path::{Path, PathBuf};

use super::{
    address,
    braces::Template,
    diagnose,
    error::{PatternError, Result},
    list,
    named::{Named, is_file},
};

/// The most files that patterns may name together; more is taken for a typing error.
pub(super) const LIMIT: u64 = 10_000_000;

/// Expands patterns to files, in the order of the patterns and of their numbers; matches of globs in
/// alphabetical order.
///
/// A pattern is a path in which `<000..999>` or `{000..999}` stands for each of these numbers (padded with
/// zeros as written), `{a,b}` for each of these texts, and `*`, `?`, `[…]` match names as in a shell. They
/// may be combined and nested. `@list.txt` names a UTF-8 file with one pattern per line, relative to that
/// file's folder; blank lines and lines that begin with `#` are ignored, and so are blanks around a pattern
/// and a byte order mark. A leading `~/` is the home folder, since a quoted pattern hides it from the shell.
/// The exact path of an existing file names that file, whatever characters it contains.
///
/// # Errors
///
/// Every named file must exist: a gap in the numbers is an error, and so is a file that is named twice, in
/// two spellings or through a link.
///
/// ```no_run
/// let paths = shards::expand(&["data/train-<000..146>.tar".to_owned()])?;
/// # Ok::<(), shards::PatternError>(())
/// ```
pub fn expand(patterns: &[String]) -> Result<Vec<PathBuf>> {
    let patterns = list::read_all(patterns)?;
    if patterns.iter().all(String::is_empty) {
        return Err(PatternError::Nothing);
    }
    let templates = patterns.iter().map(|pattern| parse(pattern)).collect::<Result<Vec<_>>>()?;
    let count = templates.iter().map(Template::count).fold(0, u64::saturating_add);
    if count > LIMIT {
        return Err(PatternError::TooMany { count });
    }
    let mut named = Named::default();
    templates.iter().flat_map(Template::expand).try_for_each(|name| named.add(name))?;
    if !named.missing.is_empty() {
        return Err(diagnose::missing(&patterns, &named.paths(), &named.missing));
    }
    named.once()
}

/// Parses a pattern; the name of an existing file is taken literally.
fn parse(pattern: &str) -> Result<Template> {
    if is_file(Path::new(pattern))? {
        return Ok(Template::literal(pattern));
    }
    address::check(pattern)?;
    Template::parse(pattern)
}
