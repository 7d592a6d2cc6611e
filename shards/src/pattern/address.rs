//! Addresses of what is no file on this machine, and arguments that hold several patterns.

use super::{braces::at_top_level, error::PatternError};
use crate::path::is_tar;

/// Refuses what other loaders take and this one does not: URLs, commands, several patterns in one.
pub(super) fn check(pattern: &str) -> Result<(), PatternError> {
    let parts: Vec<&str> = pattern.split("::").collect();
    if let Some((part, what, hint)) = parts.iter().find_map(|part| foreign(part)) {
        let hint =
            if parts.len() == 1 { hint } else { format!("{hint}; each pattern is an argument of its own") };
        return Err(PatternError::Address { pattern: part, what, hint });
    }
    if let Some(parts) = apart(pattern) {
        let patterns: Vec<String> = parts.iter().map(|part| format!("'{part}'")).collect();
        return Err(PatternError::Joined { pattern: pattern.to_owned(), apart: patterns.join(" ") });
    }
    if let Some(inside) = unquoted(pattern) {
        return Err(PatternError::Quoted { pattern: pattern.to_owned(), inside: inside.to_owned() });
    }
    Ok(())
}

/// An address, what it is, and what to do instead.
fn foreign(text: &str) -> Option<(String, &'static str, String)> {
    let lower = text.to_ascii_lowercase();
    let found = |what, hint: &str| Some((text.to_owned(), what, hint.to_owned()));
    if let Some(path) = lower.strip_prefix("file:") {
        let path = &text[text.len() - path.trim_start_matches("//").len()..];
        let is_plain = path.starts_with('/') && !path.contains('%');
        let named = if is_plain {
            format!("name its path: '{path}'")
        } else {
            "name the file by its path".to_owned()
        };
        return Some((text.to_owned(), "a URL", named));
    }
    if lower.starts_with("pipe:") || lower == "-" || lower.starts_with('|') {
        return found("what a command writes", "let the command write a file, then name the file");
    }
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return found("a web address", "download it, e.g. with `curl -O`, then name the file");
    }
    if lower.starts_with("hf:") {
        return found(
            "an address at Hugging Face",
            "download the data set there, e.g. with `hf download`, then name the files",
        );
    }
    if scheme(&lower).is_some() {
        return found(
            "an address of a store on other machines",
            "download the shards, or mount the store as a folder, then name the files there",
        );
    }
    let (host, path) = text.split_once(':')?;
    let is_host =
        host.len() > 1 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte));
    if is_host && path.starts_with(['/', '~']) {
        return found(
            "a file of another machine",
            "copy it here, or mount its folder, then name the file here",
        );
    }
    None
}

/// What stands before `://`.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    (!scheme.is_empty() && scheme.bytes().all(fits)).then_some(scheme)
}

/// The patterns of an argument that holds several, joined by `::`, commas or blanks.
fn apart(pattern: &str) -> Option<Vec<&str>> {
    let by_colons: Vec<_> = pattern.split("::").map(str::trim).collect();
    if by_colons.len() > 1 {
        return Some(by_colons.into_iter().filter(|part| !part.is_empty()).collect());
    }
    let parts = at_top_level(pattern, |byte| byte == b',' || byte.is_ascii_whitespace());
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (parts.len() > 1 && parts.iter().all(|part| is_tar(part))).then_some(parts)
}

/// A pattern without quotes that a shell has left around it.
fn unquoted(pattern: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| pattern.strip_prefix(quote)?.strip_suffix(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pattern: &str) -> String {
        check(pattern).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn addresses_are_refused_with_what_to_do_instead() {
        for (pattern, cure) in [
            ("s3://bucket/train-{000..146}.tar", "mount the store"),
            ("S3://bucket/x.tar", "mount the store"),
            ("gs://bucket/x.tar", "mount the store"),
            ("az://container/x.tar", "mount the store"),
            ("ftp://host/x.tar", "mount the store"),
            ("https://host/x.tar", "download it"),
            ("HTTP://host/x-{0..3}.tar", "download it"),
            ("hf://datasets/user/data/x.tar", "download the data set"),
            ("pipe:aws s3 cp s3://b/x.tar -", "let the command write a file"),
            ("pipe: cat x.tar", "let the command write a file"),
            ("-", "let the command write a file"),
            ("me@host:/data/x.tar", "copy it here"),
            ("file:///tmp/x.tar", "name its path: '/tmp/x.tar'"),
            ("file:/tmp/x.tar", "name its path: '/tmp/x.tar'"),
            ("file:///tmp/a%20b.tar", "by its path"),
        ] {
            let error = error(pattern);
            assert!(error.contains("but shards are local files\nhint: ") && error.contains(cure), "{error}");
        }
    }

    #[test]
    fn several_patterns_in_one_argument_are_told_apart() {
        for joined in
            ["a.tar::b-{0..3}.tar", "a.tar,b-{0..3}.tar", "a.tar b-{0..3}.tar", " a.tar , b-{0..3}.tar"]
        {
            let error = error(joined);
            assert!(
                error.ends_with("is an argument of its own\nhint: write 'a.tar' 'b-{0..3}.tar'"),
                "{error}"
            );
        }
        let error = error("s3://b/x.tar::s3://b/y.tar");
        assert!(error.starts_with("`s3://b/x.tar`") && error.ends_with("an argument of its own"), "{error}");
    }

    #[test]
    fn quotes_within_quotes_are_told() {
        assert!(error("'data/x.tar'").ends_with("hint: write data/x.tar"), "{}", error("'data/x.tar'"));
        assert!(error("\"x-<0..3>.tar\"").contains("quotes"));
    }

    #[test]
    fn paths_and_patterns_are_no_addresses() {
        for path in [
            "a.tar",
            "{a,b}.tar",
            "my data/x.tar",
            "a,b/x.tar",
            "/a:/b.tar",
            "x:1.tar",
            "{a.tar,b.tar}",
            "~/x.tar",
        ] {
            assert_eq!(error(path), "", "{path}");
        }
    }
}
