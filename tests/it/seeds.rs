//! The seeds of the fuzz targets, run by the functions of the targets.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, clippy::default_trait_access, reason = "a crate of its own")]
#[allow(clippy::allow_attributes, reason = "not every compiler has all of these lints")]
mod fuzz;

use std::{fs, path::Path};

/// Returns the seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() > 3, "{target}");
    files
}

#[test]
fn reading_checkpoints_of_any_bytes_does_not_panic_and_states_survive_a_round_trip() {
    for seed in seeds("checkpoint") {
        fuzz::checkpoint(&seed);
    }
}

#[test]
fn reading_exports_and_pickles_of_any_bytes_does_not_panic() {
    for seed in seeds("import") {
        fuzz::import(&seed);
    }
}

#[test]
fn reading_configurations_of_any_text_does_not_panic_and_they_survive_a_round_trip() {
    for seed in seeds("config") {
        fuzz::config(&String::from_utf8_lossy(&seed));
    }
}
