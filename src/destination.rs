//! Checks of the place to which a command writes: the format of a file, and the contents of a folder.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{files::folder_of, usage};

/// The contents by which a command recognizes a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// A run: its lock or its checkpoints.
    Run,
    /// Features with their description.
    Embeddings,
    /// No contents: the folder has to be new or empty.
    Nothing,
}

impl Contents {
    fn words(self) -> Option<&'static str> {
        match self {
            Self::Run => Some("a run folder"),
            Self::Embeddings => Some("a folder of embeddings"),
            Self::Nothing => None,
        }
    }

    /// Returns whether a folder has these contents.
    fn are_in(self, folder: &Path) -> bool {
        let is_step = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("step-");
        match self {
            // A link in place of these folders is refused by the run, with a better reason.
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
            Self::Embeddings => folder.join("embedding.json").exists(),
            Self::Nothing => false,
        }
    }
}

/// Checks that a folder is new, empty, or has the contents of the command; see [`dataset::check_folder`]. It
/// may also contain the file `besides`.
///
/// # Errors
///
/// With a usage error if it has other contents, or is not a folder.
pub(crate) fn folder(path: &Path, contents: Contents, besides: Option<&Path>) -> Result<()> {
    Ok(dataset::check_folder(path, contents.words(), besides, |_| contents.are_in(path))?)
}

/// Checks that a file has one of the extensions, and that it does not exist unless `force` is set. Returns
/// the extension, in lower case.
///
/// # Errors
///
/// With a usage error that names the extensions, or that the file exists.
pub(crate) fn file(path: &Path, extensions: &[&'static str], force: bool) -> Result<&'static str> {
    let own = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let shown = path.display();
    let Some(extension) = extensions.iter().find(|extension| **extension == own) else {
        let supported: Vec<_> = extensions.iter().map(|extension| format!(".{extension}")).collect();
        return Err(
            usage!("`{shown}` does not end in the extension of a supported format"; "name a file that ends in {}", supported.join(" or ")),
        );
    };
    file_of_any_name(path, force)?;
    Ok(extension)
}

/// Checks that a path is not a folder, that it does not exist unless `force` is set, and that its folder exists.
///
/// # Errors
///
/// A usage error if the path is a folder, exists and `force` is not set, or has no folder.
pub(crate) fn file_of_any_name(path: &Path, force: bool) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(usage!("`{shown}` is a folder"; "name a file in it"));
    }
    if !force && path.symlink_metadata().is_ok() {
        return Err(usage!("`{shown}` exists already"; "name another file, or replace it with --force"));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(usage!(
            "cannot write `{shown}`: there is no folder `{}`", folder.display();
            "create that folder, or name a file in another one"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exit::Code, hint};

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
    fn a_folder_with_foreign_files_is_refused_and_a_folder_of_the_command_is_not() {
        use Contents::{Embeddings, Nothing, Run};
        for (files, contents, is_ours) in [
            (&[][..], Run, true),
            (&["lost+found/x", "train.log", ".gitkeep"], Run, true),
            (&["config.toml"], Run, false),
            (&["photo.jpg"], Run, false),
            (&["train-000.tar"], Run, false),
            (&["checkpoints/epoch-3.pth", "config.toml"], Run, false),
            (&["checkpoints/step-00000010/state.json", "notes.md"], Run, true),
            (&["run.lock", "config.toml"], Run, true),
            (&["embedding.json"], Embeddings, true),
            (&["train-000.tar"], Embeddings, false),
            (&["run.lock"], Nothing, false),
        ] {
            let place = with(files);
            let found = folder(place.path(), contents, None);
            assert_eq!(found.is_ok(), is_ours, "{files:?} for {contents:?}: {found:?}");
        }
        assert!(folder(Path::new("/"), Run, None).is_err());
        let place = with(&["summary.json"]);
        assert!(folder(place.path(), Run, None).is_err());
        assert!(folder(place.path(), Run, Some(&place.path().join("summary.json"))).is_ok());
    }

    #[test]
    fn the_extension_of_a_file_is_its_format() {
        let place = with(&["there.png"]);
        let of = |name: &str, force| file(&place.path().join(name), &["png", "jpg"], force);
        assert_eq!(of("new.PNG", false).unwrap(), "png");
        assert_eq!(of("new.jpg", false).unwrap(), "jpg");
        for wrong in ["new.webp", "new", "new.png.bak"] {
            assert!(hint::render(&of(wrong, true).unwrap_err()).contains(".png or .jpg"), "{wrong}");
        }
        assert!(hint::render(&of("there.png", false).unwrap_err()).contains("--force"));
        assert_eq!(of("there.png", true).unwrap(), "png");
        let error = of("nowhere/new.png", true).unwrap_err();
        assert_eq!(hint::code(&error), Code::Usage);
        assert!(hint::render(&error).contains("there is no folder"), "{error}");
        file_of_any_name(Path::new("a file in the working folder"), false).unwrap();
    }
}
