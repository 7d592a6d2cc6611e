//! Looks for libtorch in a folder.

use std::path::Path;

/// A header that every libtorch has, relative to its folder.
pub(crate) const HEADER: &str = "include/torch/csrc/api/include/torch/torch.h";

/// Checks that `folder` contains libtorch.
///
/// # Errors
///
/// It does not: the error is one line for the user.
pub(crate) fn check(folder: &Path) -> Result<(), String> {
    if folder.join(HEADER).exists() {
        return Ok(());
    }
    Err(format!(
        "there is no libtorch in `{}`: run `make setup` once, which fetches it, or let LIBTORCH name the folder of your own \
         (libtorch 2.11, with lib/ and include/)",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn a_build_without_libtorch_ends_with_one_line_that_names_the_folder_and_the_cure() {
        let error = check(Path::new("/nowhere/torch")).unwrap_err();
        assert_eq!(error.lines().count(), 1);
        for part in ["`/nowhere/torch`", "`make setup`", "LIBTORCH", "2.11"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(check(Path::new("")).unwrap_err().contains("`make setup`"), "LIBTORCH is not set");
    }

    #[test]
    fn a_folder_with_the_header_of_libtorch_is_accepted() {
        let folder = env::temp_dir().join(format!("libtorch-check-{}", process::id()));
        let header = folder.join(HEADER);
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        fs::write(&header, "").unwrap();
        let checked = check(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(checked, Ok(()));
    }
}
