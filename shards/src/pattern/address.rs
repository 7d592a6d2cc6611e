//! Recognizes addresses that are not local files, and arguments that contain several patterns.

use super::{braces::at_top_level, error::PatternError, hint::Elsewhere, scheme::is_remote};
use crate::path::is_tar;

/// Refuses forms that other loaders take and this one does not: URLs, commands, several patterns in one.
pub(super) fn check(pattern: &str) -> Result<(), PatternError> {
    let parts: Vec<&str> = pattern.split("::").collect();
    if let Some((part, place)) = parts.iter().find_map(|part| Some((part, elsewhere(part)?))) {
        let is_one_of_several = parts.len() > 1;
        return Err(PatternError::Address { pattern: (*part).to_owned(), place, is_one_of_several });
    }
    check_joined(pattern)?;
    if let Some(inside) = unquoted(pattern) {
        return Err(PatternError::Quoted { pattern: pattern.to_owned(), inside: inside.to_owned() });
    }
    Ok(())
}

/// Refuses several patterns in one.
pub(super) fn check_joined(pattern: &str) -> Result<(), PatternError> {
    let Some(parts) = apart(pattern) else { return Ok(()) };
    let apart = parts.into_iter().map(str::to_owned).collect();
    Err(PatternError::Joined { pattern: pattern.to_owned(), apart })
}

/// Returns the kind of place that an address leads to; `None` for a local path.
fn elsewhere(text: &str) -> Option<Elsewhere> {
    let lower = text.to_ascii_lowercase();
    if let Some(path) = lower.strip_prefix("file:") {
        let path = &text[text.len() - path.trim_start_matches("//").len()..];
        let is_plain = path.starts_with('/') && !path.contains('%');
        return Some(Elsewhere::FileUrl(is_plain.then(|| path.to_owned())));
    }
    if lower.starts_with("pipe:") || lower == "-" || lower.starts_with('|') {
        return Some(Elsewhere::Command(address_in(text)));
    }
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Some(Elsewhere::Web);
    }
    if lower.starts_with("hf:") {
        return Some(Elsewhere::HuggingFace(at_hub(text)));
    }
    if scheme(&lower).is_some() {
        return Some(Elsewhere::Store);
    }
    let (host, path) = text.split_once(':')?;
    let is_host =
        host.len() > 1 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte));
    (is_host && path.starts_with(['/', '~'])).then_some(Elsewhere::Machine)
}

/// Returns the address that a command reads.
fn address_in(command: &str) -> Option<String> {
    let words = command.split(|letter: char| letter.is_ascii_whitespace() || letter == '\'' || letter == '"');
    words.map(|word| word.trim_start_matches("pipe:")).find(|word| is_remote(word)).map(str::to_owned)
}

/// Returns the web address of a file at the Hugging Face hub: `hf://datasets/OWNER/NAME/PATH`, perhaps with `@` and a
/// revision after the name.
fn at_hub(text: &str) -> Option<String> {
    let path = text.get("hf://".len()..)?.strip_prefix("datasets/")?;
    let mut parts = path.splitn(3, '/');
    let (owner, name, file) = (parts.next()?, parts.next()?, parts.next()?);
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    Some(format!("https://huggingface.co/datasets/{owner}/{name}/resolve/{revision}/{file}"))
}

/// Returns the scheme before `://`.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    (!scheme.is_empty() && scheme.bytes().all(fits)).then_some(scheme)
}

/// Splits an argument that contains several patterns, joined by `::`, commas or blanks.
fn apart(pattern: &str) -> Option<Vec<&str>> {
    let by_colons: Vec<_> = pattern.split("::").map(str::trim).collect();
    if by_colons.len() > 1 {
        return Some(by_colons.into_iter().filter(|part| !part.is_empty()).collect());
    }
    let parts = at_top_level(pattern, |byte| byte == b',' || byte.is_ascii_whitespace());
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (parts.len() > 1 && parts.iter().all(|part| is_tar(part))).then_some(parts)
}

/// Removes quotes around a pattern that the shell has left there.
fn unquoted(pattern: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| pattern.strip_prefix(quote)?.strip_suffix(quote))
}

#[cfg(test)]
mod tests {
    use super::{super::hint::PatternHint, *};

    fn error(pattern: &str) -> Option<PatternError> {
        check(pattern).err()
    }

    #[test]
    fn addresses_are_refused_by_their_kind() {
        let path = |path: &str| Elsewhere::FileUrl(Some(path.to_owned()));
        let hub = |url: &str| Elsewhere::HuggingFace(Some(url.to_owned()));
        for (pattern, expected) in [
            ("s3://bucket/train-{000..146}.tar", Elsewhere::Store),
            ("S3://bucket/x.tar", Elsewhere::Store),
            ("gs://bucket/x.tar", Elsewhere::Store),
            ("az://container/x.tar", Elsewhere::Store),
            ("ftp://host/x.tar", Elsewhere::Store),
            ("https://host/x.tar", Elsewhere::Web),
            ("HTTP://host/x-{0..3}.tar", Elsewhere::Web),
            (
                "hf://datasets/user/data/d/x-{0..3}.tar",
                hub("https://huggingface.co/datasets/user/data/resolve/main/d/x-{0..3}.tar"),
            ),
            (
                "hf://datasets/user/data@v2/x.tar",
                hub("https://huggingface.co/datasets/user/data/resolve/v2/x.tar"),
            ),
            ("hf://user/model", Elsewhere::HuggingFace(None)),
            ("pipe:aws s3 cp s3://b/x.tar -", Elsewhere::Command(Some("s3://b/x.tar".to_owned()))),
            (
                "pipe:curl -sL 'https://h/x-{0..9}.tar'",
                Elsewhere::Command(Some("https://h/x-{0..9}.tar".to_owned())),
            ),
            ("pipe: cat x.tar", Elsewhere::Command(None)),
            ("-", Elsewhere::Command(None)),
            ("me@host:/data/x.tar", Elsewhere::Machine),
            ("file:///tmp/x.tar", path("/tmp/x.tar")),
            ("file:/tmp/x.tar", path("/tmp/x.tar")),
            ("file:///tmp/a%20b.tar", Elsewhere::FileUrl(None)),
        ] {
            let error = error(pattern).unwrap();
            let text = error.to_string();
            assert!(text.starts_with('`') && text.ends_with("which is not read here"), "{text}");
            assert!(matches!(error, PatternError::Address { place, .. } if place == expected), "{pattern}");
        }
    }

    #[test]
    fn several_patterns_in_one_argument_are_separated() {
        for joined in
            ["a.tar::b-{0..3}.tar", "a.tar,b-{0..3}.tar", "a.tar b-{0..3}.tar", " a.tar , b-{0..3}.tar"]
        {
            let error = error(joined).unwrap();
            assert!(error.to_string().ends_with("is an argument of its own"), "{error}");
            let apart = vec!["a.tar".to_owned(), "b-{0..3}.tar".to_owned()];
            assert_eq!(error.hint(), Some(PatternHint::Apart(apart)));
        }
        let error = error("s3://b/x.tar::s3://b/y.tar").unwrap();
        assert!(error.to_string().starts_with("`s3://b/x.tar`"), "{error}");
        assert!(matches!(error, PatternError::Address { is_one_of_several: true, .. }), "{error:?}");
    }

    #[test]
    fn quotes_within_quotes_are_reported() {
        for (pattern, inside) in [("'data/x.tar'", "data/x.tar"), ("\"x-<0..3>.tar\"", "x-<0..3>.tar")] {
            let error = error(pattern).unwrap();
            assert!(error.to_string().contains("has quotes in it"), "{error}");
            assert_eq!(error.hint(), Some(PatternHint::Unquote(inside.to_owned())));
        }
    }

    #[test]
    fn paths_and_patterns_are_not_addresses() {
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
            assert!(error(path).is_none(), "{path}");
        }
    }
}
