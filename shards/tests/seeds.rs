//! Runs the fuzz targets' functions on their seeds: nothing panics, and other readers agree.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, missing_docs, dead_code, unused_imports, reason = "a crate of its own")]
#[allow(clippy::allow_attributes, reason = "not every compiler warns about all of them")]
mod fuzz;

use std::{fs, path::Path};

/// Reads the files in a folder of this crate.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let files: Vec<_> = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 3, "{folder}");
    files
}

#[test]
fn shards_of_any_bytes_do_not_panic_and_are_read_as_by_the_tar_crate() {
    for seed in files("tests/data").into_iter().chain(files("fuzz/seeds/shard")) {
        fuzz::shard(&seed);
    }
}

#[test]
fn indices_of_any_bytes_in_the_cache_do_not_panic() {
    for seed in files("fuzz/seeds/cache") {
        fuzz::cache(&seed);
    }
}

#[test]
fn patterns_of_any_text_do_not_panic_and_stay_in_their_folder() {
    for seed in files("fuzz/seeds/pattern") {
        fuzz::pattern(&String::from_utf8_lossy(&seed));
    }
}
