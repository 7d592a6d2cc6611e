//! The README of `contrib`.

use super::support::{files, read, root};

#[test]
fn the_readme_of_the_examples_names_every_file() {
    let readme = read("contrib/README.md");
    let folder = root("contrib");
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let above = name.split_once('/').map_or("", |(above, _)| above);
        let is_named =
            readme.contains(&format!("| `{name}` |")) || readme.contains(&format!("| `{above}/` |"));
        assert!(is_named || name == "README.md", "contrib/README.md does not name `{name}`");
    }
}
