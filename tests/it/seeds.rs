//! The fuzz targets' seeds, by the functions that the targets call.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, clippy::default_trait_access, reason = "a crate of its own")]
#[allow(clippy::allow_attributes, reason = "not every compiler warns of all")]
mod fuzz;

use std::{fs, path::Path};

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() > 3, "{target}");
    files
}

#[test]
fn checkpoints_of_any_bytes_do_not_panic_and_states_come_back() {
    for seed in seeds("checkpoint") {
        fuzz::checkpoint(&seed);
    }
}

#[test]
fn exports_and_pickles_of_any_bytes_do_not_panic() {
    for seed in seeds("import") {
        fuzz::import(&seed);
    }
}

#[test]
fn configurations_of_any_text_do_not_panic_and_give_themselves_back() {
    for seed in seeds("config") {
        fuzz::config(&String::from_utf8_lossy(&seed));
    }
}
