//! Where a command may write: files of a format that it has, and folders that are nobody else's.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::usage;

/// What a command keeps in a folder, by which it knows one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// A run: its lock or its checkpoints.
    Run,
    /// Shards.
    Shards,
    /// Features, and what they are of.
    Embeddings,
    /// Nothing is there yet.
    Nothing,
}

impl Contents {
    fn words(self) -> &'static str {
        match self {
            Self::Run => "a run folder",
            Self::Shards => "a folder of shards",
            Self::Embeddings => "a folder of embeddings",
            Self::Nothing => "empty",
        }
    }

    /// Whether a folder holds such.
    fn are_in(self, folder: &Path, entries: &[PathBuf]) -> bool {
        let is_step = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("step-");
        match self {
            // A link in the place of its folders is refused by the run itself, for that reason.
            Self::Run
                if ["checkpoints", "crash", "previous"].iter().any(|name| folder.join(name).is_symlink()) =>
            {
                true
            }
            Self::Run => {
                let checkpoints = [folder.join("checkpoints"), folder.join("previous/checkpoints")];
                let mut steps = checkpoints.iter().flat_map(fs::read_dir).flatten().flatten();
                folder.join("run.lock").exists() || steps.any(is_step)
            }
            Self::Shards => {
                let is_shard = |path: &PathBuf| path.extension().is_some_and(|end| end == "tar");
                // Of a command that was ended before its first shard was complete.
                let is_begun = |path: &PathBuf| path.ends_with("classes.txt") || name(path).contains(".tar.");
                entries.iter().any(is_shard) || entries.iter().all(is_begun)
            }
            Self::Embeddings => folder.join("embedding.json").exists(),
            Self::Nothing => false,
        }
    }
}

/// Sees that a folder is new, empty, or holds what the command keeps there. Files that lie there by the user's wish, as a log
/// or `besides`, do not count.
///
/// # Errors
///
/// With a usage error where it is somebody's own folder, or none.
pub(crate) fn folder(path: &Path, contents: Contents, besides: Option<&Path>) -> Result<()> {
    let shown = path.display();
    if path.is_file() {
        return Err(usage!("`{shown}` is a file, not a folder\n  hint: name a new folder"));
    }
    // Where it cannot be listed, writing into it will tell.
    let Ok(listed) = fs::read_dir(path) else { return Ok(()) };
    let besides = besides.and_then(|path| path.canonicalize().ok());
    let is_in_the_way = |entry: &PathBuf| {
        !is_nobodys(&name(entry))
            && !is_output_of_this_process(entry)
            && (besides.is_none() || entry.canonicalize().ok() != besides)
    };
    let mut entries: Vec<_> = listed.flatten().map(|entry| entry.path()).filter(is_in_the_way).collect();
    entries.sort();
    let Some(first) = entries.first() else { return Ok(()) };
    if !is_of_everybody(path) && contents.are_in(path, &entries) {
        return Ok(());
    }
    let or = if contents == Contents::Nothing { String::new() } else { format!(" nor {}", contents.words()) };
    Err(usage!(
        "`{shown}` is neither new nor empty{or}: it holds `{}`, and nothing is written among what others may need\n  hint: name a new \
         folder, e.g. `{}`",
        name(first),
        path.join("new").display()
    ))
}

/// What systems put into new folders, and what a shell writes there beside the command.
fn is_nobodys(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "lost+found",
        ".DS_Store",
        ".gitkeep",
        ".gitignore",
        ".keep",
        ".snapshot",
        "Thumbs.db",
        "desktop.ini",
    ];
    let is_log = || [".log", ".out", ".err", ".pid"].iter().any(|end| name.ends_with(end));
    NAMES.contains(&name) || name.starts_with(".nfs") || is_log()
}

/// Whether what this process prints goes to that file.
fn is_output_of_this_process(path: &Path) -> bool {
    let Ok(file) = path.metadata() else { return false };
    let is_file = |output: BorrowedFd<'_>| {
        rustix::fs::fstat(output)
            .is_ok_and(|output| (output.st_dev, output.st_ino) == (file.dev(), file.ino()))
    };
    is_file(io::stdout().as_fd()) || is_file(io::stderr().as_fd())
}

/// The root of all folders, and the user's home.
fn is_of_everybody(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let home = std::env::var_os("HOME").and_then(|home| Path::new(&home).canonicalize().ok());
    path.parent().is_none() || home.is_some_and(|home| home == path)
}

/// Sees that a file has one of the extensions that a command writes, and does not take another's place unless `force`d; gives the
/// extension, in lower case.
///
/// # Errors
///
/// With a usage error that names the extensions.
pub(crate) fn file(path: &Path, extensions: &[&'static str], force: bool) -> Result<&'static str> {
    let own = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let shown = path.display();
    let Some(extension) = extensions.iter().find(|extension| **extension == own) else {
        let supported: Vec<_> = extensions.iter().map(|extension| format!(".{extension}")).collect();
        return Err(usage!(
            "`{shown}` names no format that can be written\n  hint: let it end in {}",
            supported.join(" or ")
        ));
    };
    file_of_any_name(path, force)?;
    Ok(extension)
}

/// The same of a file whose format is named otherwise.
///
/// # Errors
///
/// With a usage error where it is there already.
pub(crate) fn file_of_any_name(path: &Path, force: bool) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(usage!("`{shown}` is a folder\n  hint: name a file in it"));
    }
    if !force && path.symlink_metadata().is_ok() {
        return Err(usage!(
            "`{shown}` is there already\n  hint: name another file, or replace it with --force"
        ));
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_with_somebodys_own_files_is_refused_and_one_of_ours_is_not() {
        use Contents::{Embeddings, Nothing, Run, Shards};
        for (files, contents, is_ours) in [
            (&[][..], Run, true),
            (&["lost+found/x", "train.log", ".gitkeep"], Run, true),
            (&["config.toml"], Run, false),
            (&["photo.jpg"], Run, false),
            (&["train-000.tar"], Run, false),
            (&["checkpoints/epoch-3.pth", "config.toml"], Run, false),
            (&["checkpoints/step-00000010/state.json", "notes.md"], Run, true),
            (&["run.lock", "config.toml"], Run, true),
            (&["train-000.tar", "classes.txt", "notes.md"], Shards, true),
            (&["classes.txt", ".train-000.tar.77.tmp"], Shards, true),
            (&["classes.txt", "photo.jpg"], Shards, false),
            (&["run.lock"], Shards, false),
            (&["embedding.json"], Embeddings, true),
            (&["train-000.tar"], Embeddings, false),
            (&["run.lock"], Nothing, false),
        ] {
            let place = with(files);
            let found = folder(place.path(), contents, None);
            assert_eq!(found.is_ok(), is_ours, "{files:?} for {contents:?}: {found:?}");
        }
        assert!(folder(Path::new("/"), Shards, None).is_err());
        let place = with(&["summary.json"]);
        assert!(folder(place.path(), Run, None).is_err());
        assert!(folder(place.path(), Run, Some(&place.path().join("summary.json"))).is_ok());
    }

    #[test]
    fn the_end_of_a_files_name_is_its_format() {
        let place = with(&["there.png"]);
        let of = |name: &str, force| file(&place.path().join(name), &["png", "jpg"], force);
        assert_eq!(of("new.PNG", false).unwrap(), "png");
        assert_eq!(of("new.jpg", false).unwrap(), "jpg");
        for wrong in ["new.webp", "new", "new.png.bak"] {
            assert!(of(wrong, true).unwrap_err().to_string().contains(".png or .jpg"), "{wrong}");
        }
        assert!(of("there.png", false).unwrap_err().to_string().contains("--force"));
        assert_eq!(of("there.png", true).unwrap(), "png");
    }
}
