//! `embed` in several processes.

use std::{fs, path::Path, process::Command};

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

fn embed(place: &Place, pattern: &str, out: &Path) -> Command {
    let mut command = program();
    command.args(["embed", "--device", "cpu", "--shards", pattern, "--checkpoint"]).arg(place.path("run"));
    command.arg("--out").arg(out).env("AMDIM_STREAM_CACHE", place.path("cache"));
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
    let one = lead_of(1, 0, || embed(&place, &pattern, &place.path("one")));
    let expected = files(&place.path("one"));
    assert_eq!(
        expected.len(),
        6,
        "four shards, a list of bad samples, embedding.json: {:?}",
        expected.keys()
    );
    assert_eq!(printed(&one.stdout)["left_out"], 1);
    for size in [2, 3] {
        let out = place.path(&size.to_string());
        let several = lead_of(size, 0, || embed(&place, &pattern, &out));
        assert_eq!(printed(&several.stdout), printed(&one.stdout));
        assert!(files(&out) == expected, "{size} processes");
    }
    // The same command again goes on with the shards that have no file.
    fs::remove_file(place.path("2/00001-train-001.parquet")).unwrap();
    let again = printed(&lead_of(2, 0, || embed(&place, &pattern, &place.path("2"))).stdout);
    assert_eq!(
        (&again["samples"], &again["done_before"], &again["left_out"]),
        (&9.into(), &3.into(), &1.into())
    );
    assert!(files(&place.path("2")) == expected);
}

#[test]
fn a_folder_that_processes_do_not_share_and_an_error_of_all_are_reported_once_with_their_code() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 8);
    succeed(&mut place.train(&pattern, "run", &["--steps", "1"]));
    let said = together(2, |rank| {
        let folder = place.path(&format!("machine-{rank}"));
        fs::create_dir(&folder).unwrap();
        let mut command = embed(&place, &pattern, Path::new("out"));
        command.current_dir(folder);
        command
    });
    assert_eq!((said[0].code, said[1].code), (Some(2), Some(2)), "{said:?}");
    assert!(said[0].stderr.contains("`out`, but rank 1 (process "), "{}", said[0].stderr);
    assert!(said[0].stderr.contains("hint: name a folder that all machines share"), "{}", said[0].stderr);
    let said = lead_of(2, 2, || {
        let mut command = embed(&place, &pattern, &place.path("out"));
        command.args(["--layer", "r9"]);
        command
    });
    assert!(said.stderr.contains("there is no layer `r9`"), "{}", said.stderr);
}

#[test]
fn a_process_that_fails_in_its_share_is_named_by_the_lead_with_its_reason() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 8);
    succeed(&mut place.train(&pattern, "run", &["--steps", "1"]));
    let said = together(2, |rank| {
        let command = embed(&place, &pattern, &place.path("out"));
        let mut shell = Command::new("sh");
        // Files of rank 1 end after 512 bytes.
        let line = if rank == 1 { r#"trap "" XFSZ; ulimit -f 1; exec "$@""# } else { r#"exec "$@""# };
        shell.args(["-c", line, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.env_remove("RUST_LOG").env("AMDIM_STREAM_CACHE", place.path("cache"));
        shell
    });
    assert_eq!((said[0].code, said[1].code), (Some(1), Some(1)), "{said:?}");
    assert!(said[1].stderr.contains("ERROR cannot write `"), "{}", said[1].stderr);
    let named = ["ERROR rank 1 (process ", "cannot write `", "00001-train-001"];
    assert!(named.iter().all(|words| said[0].stderr.contains(words)), "{}", said[0].stderr);
}
