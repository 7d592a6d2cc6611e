//! Schemes of addresses on servers.

/// Returns whether a pattern begins with a scheme of servers that are read: `s3://`, `gs://`, `az://`, `https://` or
/// `http://`.
pub(crate) fn is_remote(pattern: &str) -> bool {
    ["s3://", "gs://", "az://", "https://", "http://"]
        .iter()
        .any(|scheme| pattern.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// Returns an address of a web server without its query and fragment, which may be a secret, as in presigned addresses.
/// Any other text is returned as it is: in stores of objects, `?` is a character of patterns.
pub fn without_query(text: &str) -> &str {
    let is_web = ["http://", "https://", "@http://", "@https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    if is_web { &text[..text.find(['?', '#']).unwrap_or(text.len())] } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_web_addresses_are_removed() {
        for (text, shown) in [
            ("https://h/x-<0..9>.tar?sig=a", "https://h/x-<0..9>.tar"),
            ("@HTTP://h/list.txt#a?b", "@HTTP://h/list.txt"),
            ("s3://b/x-?.tar", "s3://b/x-?.tar"),
            ("d/x-?.tar", "d/x-?.tar"),
        ] {
            assert_eq!(without_query(text), shown);
        }
    }

    #[test]
    fn schemes_of_servers_are_recognized() {
        for remote in ["s3://b/x.tar", "GS://b/x.tar", "az://c/x", "https://h/x.tar", "http://h/x.tar"] {
            assert!(is_remote(remote), "{remote}");
        }
        for other in ["x.tar", "ftp://h/x.tar", "hf://datasets/x", "file:///x.tar", "s3:/b/x.tar", "é"] {
            assert!(!is_remote(other), "{other}");
        }
    }
}
