//! The folder that shards are written to.

use std::path::Path;

use crate::{classes::ClassNames, destination::check_folder, error::Result};

/// Checks that shards may be written to a folder: it is new, empty, or contains shards already.
pub(crate) fn check_shard_folder(folder: &Path) -> Result<()> {
    check_folder(folder, Some("a folder of shards"), None, |entries| {
        entries.iter().any(|path| is_shard(path)) || entries.iter().all(|path| is_begun(path))
    })
}

fn is_shard(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "tar")
}

/// Returns whether a file is one that a command leaves if it ends before its first shard is complete.
fn is_begun(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.ends_with(ClassNames::FILE) || name.starts_with(".classes.txt.") || name.contains(".tar.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn shards_are_written_to_folders_of_shards_and_not_among_other_files() {
        for (files, is_ours) in [
            (&[][..], true),
            (&["train-000.tar", "classes.txt", "notes.md"], true),
            (&["classes.txt", ".train-000.tar.77.tmp", "pack.log"], true),
            (&[".classes.txt.a1b2.77.tmp"], true),
            (&["classes.txt", "photo.jpg"], false),
            (&["run.lock"], false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                fs::write(folder.path().join(file), "").unwrap();
            }
            let found = check_shard_folder(folder.path());
            assert_eq!(found.is_ok(), is_ours, "{files:?}: {found:?}");
        }
        assert!(check_shard_folder(Path::new("/")).is_err());
    }
}
