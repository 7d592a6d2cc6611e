//! Training runs from shards to checkpoints.

use std::fs;

use crate::support::{Entry, Place, jpeg, lines, run, start_until, succeed, tensors};

#[test]
fn every_preset_trains_with_and_without_batch_norms() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 8);
    for (preset, width) in [("c10", "16"), ("stl10", "32"), ("in128", "32")] {
        for use_bn in ["true", "false"] {
            let out = format!("{preset}-{use_bn}");
            let mut command = crate::support::program();
            command.args([
                "--preset",
                preset,
                "--shards",
                &pattern,
                "--ndf",
                "4",
                "--n-rkhs",
                width,
                "--n-depth",
                "1",
            ]);
            command.args([
                "--use-bn",
                use_bn,
                "--batch-size",
                "4",
                "--steps",
                "2",
                "--log-every",
                "1",
                "--device",
                "cpu",
            ]);
            command.arg("--out").arg(place.path(&out)).env("AMDIM_STREAM_CACHE", place.path("cache"));
            let said = succeed(&mut command).stderr;
            let is_enlarged = said.contains("half of the sampled images are no larger than 40×36;")
                && said.contains("--preset c10");
            assert_eq!(is_enlarged, preset != "c10", "{preset}: {said}");
            let metrics = lines(&place.path(&out).join("metrics.jsonl"));
            assert_eq!(metrics.len(), 2);
            for name in
                ["loss", "chance", "1t5", "1t7", "5t5", "penalty", "linear", "mlp", "images_per_second", "lr"]
            {
                assert!(metrics[1][name].is_f64(), "{preset}: no {name} in {}", metrics[1]);
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    for workers in ["1", "2", "7"] {
        succeed(&mut place.train(&pattern, workers, &["--steps", "6", "--workers", workers]));
    }
    let one = tensors(&place.path("1"), 6);
    assert!(one == tensors(&place.path("2"), 6) && one == tensors(&place.path("7"), 6));
}

#[test]
fn a_resolved_configuration_repeats_the_run() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 20);
    succeed(&mut place.train(&pattern, "first", &["--epochs", "1.5", "--seed", "7", "--lr", "1e-3"]));
    let mut again = crate::support::program();
    again.arg("--config").arg(place.path("first/config.toml")).arg("--out").arg(place.path("second"));
    again.env("AMDIM_STREAM_CACHE", place.path("cache"));
    succeed(&mut again);
    assert!(tensors(&place.path("first"), 3) == tensors(&place.path("second"), 3));
}

#[test]
fn training_lowers_the_loss_and_validates_the_probes() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 32);
    let validation = place.shards("val", 1, 12);
    let more = ["--steps", "60", "--lr", "2e-3", "--val-shards", &validation, "--validate-every", "5"];
    succeed(&mut place.train(&pattern, "run", &more));
    let metrics = lines(&place.path("run/metrics.jsonl"));
    let losses: Vec<_> = metrics
        .iter()
        .filter(|line| line["kind"] == "train")
        .map(|line| line["loss"].as_f64().unwrap())
        .collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[50..]) < mean(&losses[..10]) - 0.5, "{losses:?}");
    // 96 samples are 6 steps an epoch, and there is a validation after every fifth epoch.
    let validated: Vec<_> = metrics
        .iter()
        .filter(|line| line["kind"] == "validation")
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(validated, [30, 60]);
}

#[test]
fn unlabelled_data_trains_without_probes() {
    let place = Place::new();
    let samples =
        (0..20).map(|number| Entry { key: format!("{number:03}"), image: jpeg(number), label: None });
    place.write("bare.tar", samples);
    let pattern = place.path("bare.tar").to_str().unwrap().to_owned();
    succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    let metrics = lines(&place.path("run/metrics.jsonl"));
    assert!(metrics[0]["loss"].is_f64() && metrics[0]["linear"].is_null());
}

/// Writes 200 samples of which four are damaged, a truncated shard and an empty one.
fn damaged(place: &Place) -> String {
    let sample = |number: usize| {
        let mut image = jpeg(number);
        match number {
            30 => image.truncate(image.len() / 2),
            77 => image = b"<html>not found</html>".to_vec(),
            123 => image.clear(),
            199 => image[..64].fill(0),
            _ => {}
        }
        Entry { key: format!("{number:05}"), image, label: Some((number % 3).to_string()) }
    };
    place.write("mixed-000.tar", (0..100).map(sample));
    place.write("mixed-001.tar", (100..200).map(sample));
    place.write("mixed-002.tar", (200..240).map(sample));
    let cut = fs::read(place.path("mixed-002.tar")).unwrap();
    fs::write(place.path("mixed-002.tar"), &cut[..cut.len() / 2 + 100]).unwrap();
    fs::write(place.path("mixed-003.tar"), "").unwrap();
    place.pattern("mixed", 4)
}

#[test]
fn damaged_samples_and_shards_are_skipped_and_listed() {
    let place = Place::new();
    let pattern = damaged(&place);
    succeed(&mut place.train(&pattern, "run", &["--epochs", "2"]));
    let listed = lines(&place.path("run/bad-samples.jsonl"));
    for key in ["00030", "00077", "00123", "00199"] {
        let found = listed.iter().filter(|line| line["key"] == key).count();
        assert_eq!(found, 1, "{key} in {listed:?}");
    }
    for shard in ["mixed-002.tar", "mixed-003.tar"] {
        let names = |line: &&serde_json::Value| line["shard"].as_str().unwrap().ends_with(shard);
        let line = listed.iter().find(names).unwrap_or_else(|| panic!("no {shard} in {listed:?}"));
        assert!(line["offset"].is_u64() && line["reason"].is_string(), "{line}");
    }
}

#[test]
fn a_shard_truncated_during_training_is_listed_and_does_not_end_the_run() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 60);
    let mut command = place.train(&pattern, "run", &["--steps", "150", "--max-bad", "100%"]);
    let mut child = start_until(&mut command, &place.path("run"), 2);
    let shard = fs::File::options().write(true).open(place.path("train-001.tar")).unwrap();
    shard.set_len(shard.metadata().unwrap().len() / 3).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let listed = lines(&place.path("run/bad-samples.jsonl"));
    assert!(!listed.is_empty());
    for line in listed {
        assert!(line["shard"].as_str().unwrap().ends_with("train-001.tar"), "{line}");
        assert!(line["key"].is_string() && line["offset"].is_u64(), "{line}");
    }
}

#[test]
fn too_many_damaged_samples_end_the_run_and_the_last_one_is_named() {
    let place = Place::new();
    let pattern = damaged(&place);
    let said = run(&mut place.train(&pattern, "run", &["--epochs", "2", "--max-bad", "2"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("--max-bad"), "{}", said.stderr);
    let listed = lines(&place.path("run/bad-samples.jsonl"));
    let keys: Vec<_> = listed.iter().filter_map(|line| line["key"].as_str()).collect();
    let last = said.stderr.split("the last: sample `").nth(1).unwrap().split('`').next().unwrap();
    assert!(keys.len() == 3 && keys.contains(&last), "{last} and two more in {keys:?}");
}

#[test]
fn the_allowed_number_of_bad_samples_holds_for_all_epochs_together() {
    let place = Place::new();
    let pattern = damaged(&place);
    succeed(&mut place.train(&pattern, "run", &["--epochs", "4", "--max-bad", "30"]));
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_its_samples_are_listed() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let said =
        run(&mut place.train(&pattern, "run", &["--steps", "40", "--lr", "1e30", "--checkpoint-every", "1"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("is not finite"), "{}", said.stderr);
    let text = fs::read_to_string(place.path("run/crash/crash.json")).unwrap();
    let broken: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(broken["samples"].as_array().unwrap().len(), 16);
    assert!(broken["samples"][0]["key"].is_string());
    let step = broken["step"].as_u64().unwrap();
    tensors(&place.path("run"), step - 1); // the checkpoint before the step exists
}

#[test]
fn parameters_that_are_not_finite_are_not_saved() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let said = run(&mut place.train(&pattern, "run", &["--steps", "1", "--lr", "1e42"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains("not finite after step 1") && said.stderr.contains("hint: "),
        "{}",
        said.stderr
    );
    assert!(!place.path("run/checkpoints").exists());
}

#[test]
fn validations_measure_neighbours_and_rank_and_keep_the_best_checkpoint() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 24);
    let validation = place.shards("val", 1, 12);
    let more =
        ["--epochs", "6", "--val-shards", &validation, "--knn-every", "2", "--best", "mlp", "--keep", "1"];
    succeed(&mut place.train(&pattern, "run", &more));
    let records = lines(&place.path("run/metrics.jsonl"));
    let found: Vec<_> = records.iter().filter(|record| record["kind"] == "validation").collect();
    assert_eq!(found.len(), 6);
    for (epoch, record) in (1..).zip(&found) {
        assert_eq!(record["knn"].is_f64(), epoch % 2 == 0, "epoch {epoch}: {record}");
        let (rank, cosine) = (record["rankme"].as_f64().unwrap(), record["cosine"].as_f64().unwrap());
        assert!((1.0..=12.1).contains(&rank) && (-1.0..=1.0).contains(&cosine), "{record}");
    }
    let best: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("run/checkpoints/best.json")).unwrap()).unwrap();
    let mlp = |record: &&serde_json::Value| record["mlp"].as_f64().unwrap();
    let most = found.iter().map(mlp).fold(0.0, f64::max);
    let first = found.iter().find(|record| mlp(record) >= most).unwrap();
    assert!(best["value"] == most && best["step"] == first["step"] && best["metric"] == "mlp", "{best}");
    let state = fs::read_to_string(place.path("run/checkpoints/best/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(
        state["content"]["state"]["step"], best["step"],
        "the link points to the best checkpoint, which was not removed"
    );
    let said = run(&mut place.train(&pattern, "other", &["--knn-every", "1"]));
    assert!(said.code == Some(2) && said.stderr.contains("--val-shards"), "{}", said.stderr);
}
