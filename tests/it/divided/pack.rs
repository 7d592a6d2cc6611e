//! `pack` in several processes.

use std::{fs, path::Path, process::Command};

use super::ranks::{files, lead_of};
use crate::support::{Place, jpeg, program};

fn pack(folder: &Path, more: &[&str]) -> Command {
    fs::create_dir_all(folder).unwrap();
    let mut command = program();
    command
        .current_dir(folder)
        .args(["pack", "../images", "--out", "packed", "--samples-per-shard", "7"])
        .args(more);
    command
}

#[test]
fn processes_that_divide_the_shards_write_those_of_one_process() {
    let place = Place::new();
    for number in 0..60usize {
        let folder = place.path(&format!("images/{}", ["cat", "dog", "owl"][number % 3]));
        fs::create_dir_all(&folder).unwrap();
        let image = if number % 19 == 5 { jpeg(number)[..300].to_vec() } else { jpeg(number) };
        fs::write(folder.join(format!("{number}.jpg")), image).unwrap();
    }
    let flags = ["--val-fraction", "0.2", "--resize", "24"];
    let one = lead_of(1, 0, || pack(&place.path("1"), &flags));
    let expected = files(&place.path("1/packed"));
    assert_eq!(expected.len(), 2 * (7 + 2) + 1, "{:?}", expected.keys());
    assert!(one.stdout.contains("\"skipped\":"), "{}", one.stdout);
    assert!(one.stderr.contains("left out: "), "{}", one.stderr);
    let two = lead_of(2, 0, || pack(&place.path("2"), &flags));
    assert_eq!(two.stdout, one.stdout);
    assert_eq!(two.stderr.matches("left out: ").count(), one.stderr.matches("left out: ").count());
    assert!(files(&place.path("2/packed")) == expected);
    let again = lead_of(2, 1, || pack(&place.path("2"), &flags));
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
}
