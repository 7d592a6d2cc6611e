//! Patterns of addresses on servers.

#[cfg(feature = "remote")]
use super::{address, braces::Template, error::PatternError, expand::LIMIT};
use super::{error::Result, list};

/// Replaces each local `@list` by its lines.
///
/// # Errors
/// A list cannot be read.
pub(crate) fn lines(patterns: &[String]) -> Result<Vec<String>> {
    list::read_all(patterns)
}

/// Expands the brackets of addresses. Globs stay.
///
/// # Errors
/// A pattern is invalid, or the patterns stand for too many shards.
#[cfg(feature = "remote")]
pub(crate) fn expand_remote(patterns: &[String]) -> Result<Vec<String>> {
    let parse = |pattern: &String| {
        address::check_joined(pattern)?;
        Template::parse(pattern)
    };
    let templates = patterns.iter().map(parse).collect::<Result<Vec<_>>>()?;
    let count = templates.iter().map(Template::count).fold(0, u64::saturating_add);
    if count > LIMIT {
        return Err(PatternError::TooMany { count });
    }
    Ok(templates.iter().flat_map(Template::expand).collect())
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::*;

    #[test]
    fn brackets_of_addresses_are_expanded() {
        let expand = |pattern: &str| expand_remote(&[pattern.to_owned()]);
        assert_eq!(
            expand("https://h/{a,b}/x-{00..01}.tar?k=v").unwrap(),
            ["a/x-00", "a/x-01", "b/x-00", "b/x-01"].map(|name| format!("https://h/{name}.tar?k=v"))
        );
        assert_eq!(expand("s3://b/*-<8..9>.tar").unwrap(), ["s3://b/*-8.tar", "s3://b/*-9.tar"]);
        assert!(matches!(expand("s3://b/x.tar::s3://b/y.tar"), Err(PatternError::Joined { .. })));
    }
}
