//! Schemes of addresses on servers.

/// Returns whether a pattern begins with a scheme of servers that are read: `s3://`, `gs://`, `az://`, `https://` or
/// `http://`.
pub(crate) fn is_remote(pattern: &str) -> bool {
    ["s3://", "gs://", "az://", "https://", "http://"]
        .iter()
        .any(|scheme| pattern.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
