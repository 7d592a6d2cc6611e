//! Gates and promotions.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::support::{add_shard, promote};
use crate::support::{Place, json, program, run, succeed};

fn latest(place: &Place) -> PathBuf {
    fs::read_link(place.path("models/latest")).unwrap()
}

#[test]
fn a_run_is_promoted_only_if_it_passes_its_gate() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let said = succeed(&mut promote(&place, &["loss<1000", "loss<=1.5*previous"]));
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    let first = latest(&place);
    assert_eq!(json(&place.path("summary.json"))["promotion"]["name"], first.to_str().unwrap());
    let record = json(&place.path("models/latest/promotion.json"));
    assert!(record["metrics"]["loss"].as_f64().is_some(), "{record}");
    let mut import = program();
    import
        .arg("import")
        .arg(place.path("models/latest/encoder.safetensors"))
        .arg("--out")
        .arg(place.path("imported"));
    succeed(&mut import);

    // A start without work does not promote the run again.
    succeed(&mut promote(&place, &["loss<1000"]));
    assert_eq!(fs::read_dir(place.path("models")).unwrap().count(), 3, "a lock, a link and a folder");

    add_shard(&place, "train-001.tar");
    let said = run(&mut promote(&place, &["loss<=0.001*previous"]));
    assert_eq!(said.code, Some(5), "{}", said.stderr);
    assert!(
        said.stderr.contains("does not hold: loss is") && said.stderr.contains("hint: "),
        "{}",
        said.stderr
    );
    assert_eq!(latest(&place), first);
    let summary = json(&place.path("summary.json"));
    assert_eq!((&summary["ended"], &summary["exit_code"]), (&"gate".into(), &5.into()));
    // The refusal is reported once.
    succeed(&mut promote(&place, &["loss<=0.001*previous"]));

    add_shard(&place, "train-002.tar");
    succeed(&mut promote(&place, &["loss<=1.5*previous"]));
    assert_ne!(latest(&place), first);
    assert!(
        place.path("models").join(first).join("encoder.safetensors").exists(),
        "the previous promotion is kept"
    );
}

#[test]
fn a_promotion_that_failed_is_repeated_by_the_next_start() {
    let place = Place::new();
    place.shards("train", 1, 20);
    fs::create_dir_all(place.path("models/latest")).unwrap(); // a folder in the place of the link
    let said = run(&mut promote(&place, &[]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("is not a link") && said.stderr.contains("hint: "), "{}", said.stderr);
    fs::remove_dir(place.path("models/latest")).unwrap();
    succeed(&mut promote(&place, &[]));
    assert!(place.path("models/latest/encoder.safetensors").exists());
}

#[test]
fn a_broken_link_to_the_previous_promotion_does_not_open_the_gate() {
    let place = Place::new();
    place.shards("train", 1, 20);
    fs::create_dir_all(place.path("models")).unwrap();
    std::os::unix::fs::symlink("gone", place.path("models/latest")).unwrap();
    let said = run(&mut promote(&place, &["loss<=previous"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("point to a complete promotion"), "{}", said.stderr);
}

#[test]
fn a_finished_run_is_compared_with_new_gates() {
    let place = Place::new();
    place.shards("train", 1, 20);
    assert_eq!(run(&mut promote(&place, &["loss<0"])).code, Some(5));
    assert_eq!(json(&place.path("run/manifest.json"))["promotion"]["name"], Value::Null);
    succeed(&mut promote(&place, &["loss<1000"]));
    let first = latest(&place);
    // After a kill between the promotion and its entry in the manifest, the run is not compared with itself.
    let mut manifest = json(&place.path("run/manifest.json"));
    manifest["promotion"] = Value::Null;
    fs::write(place.path("run/manifest.json"), manifest.to_string()).unwrap();
    succeed(&mut promote(&place, &["loss<previous"]));
    assert_eq!(latest(&place), first);
    // A promoted run has to pass new gates, too.
    let said = run(&mut promote(&place, &["loss<1"]));
    assert_eq!(said.code, Some(5));
    assert!(
        said.stderr.contains("does not pass its gates, but an earlier start has promoted it"),
        "{}",
        said.stderr
    );
    let promotion = &json(&place.path("summary.json"))["promotion"];
    assert_eq!(promotion["refused"].as_array().unwrap().len(), 1, "{promotion}");
    assert_eq!(latest(&place), first);
}

#[test]
fn a_metric_that_a_later_gate_needs_is_measured_then() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let validation = place.shards("val", 1, 20);
    let night = |gates: &[&str]| {
        let mut command = promote(&place, gates);
        command.args(["--val-shards", &validation]);
        command
    };
    succeed(&mut night(&[]));
    succeed(night(&["knn>=0"]).args(["--knn-every", "1"]));
    assert!(json(&place.path("run/manifest.json"))["promotion"]["metrics"]["knn"].is_number());
}
