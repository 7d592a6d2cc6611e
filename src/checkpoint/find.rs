//! The checkpoint that a path of the user names.

use std::path::Path;

use anyhow::Result;

use super::{folder::Checkpoints, loaded::Loaded, state::STATE};
use crate::usage;

/// Opens the checkpoint at a path: a checkpoint folder, or the latest checkpoint of a run folder.
///
/// # Errors
///
/// If there is none, with a hint that says what to name, or if it is damaged.
pub fn find(path: &Path) -> Result<Loaded> {
    if path.join(STATE).exists() {
        return Loaded::open(path);
    }
    if path.is_file() {
        return Err(of_a_file(path));
    }
    match Checkpoints::of(path).latest()? {
        Some(loaded) => Ok(loaded),
        None if Checkpoints { folder: path.to_owned() }.last_step().is_some() => Err(usage!(
            "`{}` holds the checkpoints of a run", path.display();
            "name the run folder, `{}`, or one of the step-… folders",
            path.parent().filter(|run| !run.as_os_str().is_empty()).unwrap_or(Path::new(".")).display()
        )),
        None if !path.exists() => Err(usage!(
            "there is no checkpoint in `{}`: the folder does not exist", path.display();
            "name a run folder or one of its checkpoints/step-… folders"
        )),
        None => Err(usage!(
            "there is no checkpoint in `{}`", path.display();
            "name a run folder or one of its checkpoints/step-… folders"
        )),
    }
}

/// Returns the error for a path that names a file instead of a folder.
fn of_a_file(file: &Path) -> anyhow::Error {
    let shown = file.display();
    let folder = file.parent().filter(|folder| folder.join(STATE).exists());
    match (folder, file.extension().and_then(|end| end.to_str())) {
        (Some(folder), _) => {
            usage!("`{shown}` is a file of a checkpoint"; "name its folder, `{}`", folder.display())
        }
        (None, Some("safetensors" | "pth" | "pt" | "tar" | "ckpt" | "bin")) => usage!(
            "`{shown}` is a file, not a run folder";
            "make a run folder of it: amdim-stream import {shown} --out runs/imported"
        ),
        (None, _) => usage!(
            "`{shown}` is a file, not a run folder";
            "name a run folder or one of its checkpoints/step-… folders"
        ),
    }
}
