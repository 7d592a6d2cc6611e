//! The files of the checkout, and a shell in which the program is a script.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use amdim_stream::cli::Cli;
use clap::{Parser, error::ErrorKind};

use crate::support::{Place, run};

pub(super) fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(root(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Writes an executable shell script.
pub(super) fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns a shell in which `amdim-stream` is a script that writes its arguments to the file `told`.
pub(super) fn shell(place: &Place) -> Command {
    script(&place.path("bin/amdim-stream"), r#"printf '%s\n' "$@" > "$TOLD""#);
    fs::create_dir_all(place.path("logs")).unwrap();
    let mut shell = Command::new("/bin/sh");
    let search = format!("{}:/usr/bin:/bin", place.path("bin").display());
    shell.env_clear().env("PATH", search).env("TOLD", place.path("told")).current_dir(place.path(""));
    shell
}

/// Returns the arguments that a line of shell gives to the program.
pub(crate) fn words(place: &Place, line: &str) -> Vec<String> {
    let _ = fs::remove_file(place.path("told"));
    let said = run(shell(place).args(["-c", line]));
    assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
    let told =
        fs::read_to_string(place.path("told")).unwrap_or_else(|_| panic!("{line} does not call the program"));
    told.lines().map(str::to_owned).collect()
}

/// Panics if the program does not accept these arguments.
pub(crate) fn parse<S: AsRef<str>>(words: &[S], from: &str) {
    let words = std::iter::once("amdim-stream").chain(words.iter().map(AsRef::as_ref));
    if let Err(error) = Cli::try_parse_from(words) {
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{from}\n{error}");
    }
}

/// Returns the files in a folder and the folders below it.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}
