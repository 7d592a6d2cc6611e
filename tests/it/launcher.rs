//! The launcher, when the main program or its libraries are missing.

use std::{fs, os::unix::fs::symlink, process::Command};

use crate::support::{Place, run, succeed};

/// Copies both programs into the place.
fn copied(place: &Place) {
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream"), place.path("amdim-stream")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream-main"), place.path("amdim-stream-main")).unwrap();
}

fn called(place: &Place) -> Command {
    let mut command = Command::new(place.path("amdim-stream"));
    command.arg("--version").env_remove("LD_LIBRARY_PATH");
    command
}

/// Changes the names of the libraries in the main program, so that the loader does not find them.
fn rename_libraries(place: &Place) {
    let path = place.path("amdim-stream-main");
    let mut bytes = fs::read(&path).unwrap();
    let name = b"\0libtorch_cpu.so\0";
    let at: Vec<_> = bytes
        .windows(name.len())
        .enumerate()
        .filter(|(_, window)| window == name)
        .map(|(at, _)| at)
        .collect();
    assert!(!at.is_empty());
    for at in at {
        bytes[at + 1..at + name.len() - 1].copy_from_slice(b"libtorch_???.so");
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_missing_libtorch_is_named_with_a_hint() {
    let place = Place::new();
    copied(&place);
    succeed(&mut called(&place));
    rename_libraries(&place);
    let said = run(&mut called(&place));
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.starts_with("error: libtorch 2.11 is missing: "), "{}", said.stderr);
    assert!(said.stderr.contains("libtorch_???.so") && said.stderr.contains("make setup"), "{}", said.stderr);
    assert_eq!(said.stderr.lines().count(), 2, "{}", said.stderr);
}

#[test]
fn a_launcher_without_the_main_program_names_it_and_one_called_by_a_link_finds_it() {
    let place = Place::new();
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream"), place.path("amdim-stream")).unwrap();
    let said = run(&mut called(&place));
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("amdim-stream-main` is missing\n  hint: copy "), "{}", said.stderr);

    fs::remove_file(place.path("amdim-stream")).unwrap();
    symlink(env!("CARGO_BIN_EXE_amdim-stream"), place.path("amdim-stream")).unwrap();
    let said = succeed(&mut called(&place));
    assert!(said.stdout.starts_with("amdim-stream "), "{}", said.stdout);
}
