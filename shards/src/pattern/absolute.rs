//! Makes patterns independent of the current folder.

use std::env;

use super::address;

/// Puts the current folder before a relative pattern, so that it names the same files from everywhere. Other
/// patterns stay as they are, and so do all if the current folder's own name contains characters of patterns.
pub fn absolute(pattern: &str) -> String {
    let here = env::current_dir().ok().and_then(|folder| folder.into_os_string().into_string().ok());
    here.map_or_else(|| pattern.to_owned(), |here| from(pattern, &here))
}

fn from(pattern: &str, here: &str) -> String {
    let (mark, path) = pattern.strip_prefix('@').map_or(("", pattern), |list| ("@", list));
    let has_absolute_choice = path.starts_with('{') && (path.contains("{/") || path.contains(",/"));
    let is_relative =
        !path.is_empty() && !path.starts_with('/') && !path.starts_with("~/") && !has_absolute_choice;
    if !is_relative || address::check(path).is_err() || here.contains(['<', '>', '{', '}', '*', '?', '[']) {
        return pattern.to_owned();
    }
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    let absolute = format!("{}/{path}", here.trim_end_matches('/'));
    if address::check(&absolute).is_err() { pattern.to_owned() } else { format!("{mark}{absolute}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_patterns_get_the_folder_and_others_stay() {
        for (pattern, expected) in [
            ("data/x-<000..003>.tar", "/here/data/x-<000..003>.tar"),
            ("././/x.tar", "/here/x.tar"),
            ("../x.tar", "/here/../x.tar"),
            ("{a,b}/x.tar", "/here/{a,b}/x.tar"),
            ("@list.txt", "@/here/list.txt"),
            ("/data/x.tar", "/data/x.tar"),
            ("@/data/list.txt", "@/data/list.txt"),
            ("~/x.tar", "~/x.tar"),
            ("{/a,/b}/x.tar", "{/a,/b}/x.tar"),
            ("s3://bucket/x.tar", "s3://bucket/x.tar"),
            ("", ""),
        ] {
            assert_eq!(from(pattern, "/here"), expected);
        }
        assert_eq!(from("x.tar", "/"), "/x.tar");
        assert_eq!(from("x.tar", "/set [2]"), "x.tar", "the folder's name would be read as a pattern");
        for here in ["/exp/cifar::v2", "/exp/a.tar,b"] {
            assert_eq!(from("x.tar", here), "x.tar", "{here}/x.tar would be two patterns");
        }
    }
}
