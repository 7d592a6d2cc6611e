//! From patterns to files.

use std::path::{Path, PathBuf};

use super::{
    address,
    braces::Template,
    diagnose,
    error::{PatternError, Result},
    list,
    named::{Named, is_file},
};

/// Files that patterns may name together; beyond that it is a slip of the finger.
const LIMIT: u64 = 10_000_000;

/// The files that the patterns name, in the order of the patterns and of their numbers; globs in alphabetical order.
///
/// A pattern is a path in which `<000..999>` or `{000..999}` stands for each of these numbers (padded with zeros as
/// written), `{a,b}` for each of these texts, and `*`, `?`, `[…]` match names as in a shell. They may be combined and
/// nested. `@list.txt` names a UTF-8 file with one pattern a line, relative to that file's folder; blank lines and those
/// beginning with `#` are skipped, and so are blanks around a pattern and a byte order mark. A leading `~/` is the home
/// folder, since a quoted pattern hides it from the shell. A file that exists is named by its very path, whatever characters are in it.
///
/// Every named file must exist: a gap in the numbers is an error, and so is a file named twice, be it by two spellings or by a
/// link.
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

/// Takes a pattern apart; the name of a file is no pattern.
fn parse(pattern: &str) -> Result<Template> {
    if is_file(Path::new(pattern))? {
        return Ok(Template::literal(pattern));
    }
    address::check(pattern)?;
    Template::parse(pattern)
}
