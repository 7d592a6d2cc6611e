//! `embed` in several processes.

use std::{fs, process::Command};

use serde_json::Value;

use super::ranks::{files, lead_of, together};
use crate::support::{Entry, Place, jpeg, program, succeed};

/// Writes five shards, one of them with a damaged image and one without images, and trains an encoder on them. Returns the
/// pattern.
fn prepare(place: &Place) -> String {
    let pattern = place.shards("train", 5, 9);
    let cut = jpeg(3)[..200].to_vec();
    let entry = |number: usize, image| Entry { key: format!("{number}"), image, label: None };
    place.write("train-003.tar", [entry(1, jpeg(70)), entry(2, cut), entry(3, jpeg(71))]);
    place.write("train-004.tar", []);
    succeed(&mut place.train(&pattern, "run", &["--steps", "1", "--max-bad", "100"]));
    pattern
}

fn embed(place: &Place, pattern: &str, out: &str) -> Command {
    let mut command = program();
    command.args(["embed", "--device", "cpu", "--shards", pattern, "--checkpoint"]).arg(place.path("run"));
    command.arg("--out").arg(place.path(out)).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

/// Returns the printed object without the folder.
fn printed(stdout: &str) -> Value {
    let mut object: Value = serde_json::from_str(stdout).unwrap();
    object.as_object_mut().unwrap().remove("out").unwrap();
    object
}

#[test]
fn processes_that_divide_the_shards_write_the_files_of_one_process() {
    let place = Place::new();
    let pattern = prepare(&place);
    let one = lead_of(1, 0, || embed(&place, &pattern, "one"));
    let expected = files(&place.path("one"));
    assert_eq!(
        expected.len(),
        6,
        "four shards, a list of bad samples, embedding.json: {:?}",
        expected.keys()
    );
    assert_eq!(printed(&one.stdout)["left_out"], 1);
    for size in [2, 3] {
        let out = size.to_string();
        let several = lead_of(size, 0, || embed(&place, &pattern, &out));
        assert_eq!(printed(&several.stdout), printed(&one.stdout));
        assert!(files(&place.path(&out)) == expected, "{size} processes");
    }
    // The same command again goes on with the shards that have no file.
    fs::remove_file(place.path("2/00001-train-001.parquet")).unwrap();
    let again = printed(&lead_of(2, 0, || embed(&place, &pattern, "2")).stdout);
    assert_eq!(
        (&again["samples"], &again["done_before"], &again["left_out"]),
        (&9.into(), &3.into(), &1.into())
    );
    assert!(files(&place.path("2")) == expected);
}

#[test]
fn a_folder_that_the_processes_do_not_share_is_refused_with_the_rank() {
    let place = Place::new();
    let pattern = prepare(&place);
    let said = together(2, |rank| {
        let folder = place.path(&format!("machine-{rank}"));
        fs::create_dir_all(&folder).unwrap();
        let mut command = embed(&place, &pattern, "unused");
        command.args(["--force"]).current_dir(folder);
        let mut other = program();
        other.args(
            command.get_args().map(|word| if word == place.path("unused") { "out".as_ref() } else { word }),
        );
        other.current_dir(command.get_current_dir().unwrap()).env("AMDIM_STREAM_CACHE", place.path("cache"));
        other
    });
    assert_eq!((said[0].code, said[1].code), (Some(2), Some(2)), "{said:?}");
    assert!(said[0].stderr.contains("`out`, but rank 1 (process "), "{}", said[0].stderr);
    assert!(said[0].stderr.contains("hint: name a folder that all machines share"), "{}", said[0].stderr);
}

#[test]
fn an_error_of_all_processes_is_reported_once_with_its_code() {
    let place = Place::new();
    let said = lead_of(2, 2, || embed(&place, "nothing-<0..1>.tar", "out"));
    assert!(said.stderr.contains("the folder does not exist"), "{}", said.stderr);
    let pattern = prepare(&place);
    let said = lead_of(2, 2, || {
        let mut command = embed(&place, &pattern, "out");
        command.args(["--layer", "r9"]);
        command
    });
    assert!(said.stderr.contains("there is no layer `r9`"), "{}", said.stderr);
}
