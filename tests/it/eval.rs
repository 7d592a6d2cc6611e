//! Evaluations of trained runs.

use std::{fs, process::Command};

use serde_json::Value;

use crate::support::{Entry, Place, jpeg, program, run, succeed};

fn eval(place: &Place, words: &[&str]) -> Command {
    let mut command = program();
    command.arg("eval").args(words).args(["--checkpoint", "run", "--device", "cpu"]);
    command.current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

/// Trains a run of a few steps. Returns its place and the pattern of validation shards.
fn trained() -> (Place, String) {
    let place = Place::new();
    let pattern = place.shards("train", 2, 30);
    let validation = place.shards("val", 1, 12);
    succeed(&mut place.train(&pattern, "run", &["--steps", "3"]));
    (place, validation)
}

fn results(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Checks one result of the evaluation `name`: the encoder, the number of steps, and the ranges of its
/// numbers.
fn check_result(name: &str, result: &Value, (encoder, step): (&str, u64)) {
    assert!(result["encoder"] == encoder && result["step"] == step, "{result}");
    let report = &result["report"];
    assert_eq!(report["samples"], 12);
    let (top1, top5) = (report["top1"].as_f64().unwrap(), report["top5"].as_f64().unwrap());
    // All of the three classes are among the first five, except those without votes.
    let least = if name == "knn" { top1 } else { 1.0 };
    assert!((0.0..=1.0).contains(&top1) && (least..=1.0).contains(&top5), "{name}: {report}");
    let settled_on = if encoder == "initial" { Value::from(60) } else { Value::Null };
    assert_eq!(result["settled_on"], settled_on, "only the untrained encoder's norms are settled: {result}");
    assert!(name == "finetune" || result["health"]["rankme"].as_f64().unwrap() >= 1.0, "{result}");
}

/// Checks that the files of results describe how each linear classifier and the reference's MLP were fitted.
fn check_files(place: &Place) {
    // The file has a result for each of the three ways to fit a linear classifier.
    let path = place.path("run/checkpoints/step-00000003/eval-linear.json");
    let file: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let [views, cached, converged] = [0, 1, 2].map(|place| &file[place]["results"][1]);
    assert_eq!(file.len(), 3);
    assert_eq!(
        [views, cached, converged].map(|result| result["variant"].as_str().unwrap()),
        ["frozen", "frozen", "lbfgs"]
    );
    assert_eq!(
        [views, cached].map(|result| result["details"]["images"].as_str().unwrap()),
        ["augmented", "un-augmented"]
    );
    // 4 epochs of 60 samples in batches of 60.
    let schedule = &views["details"]["schedule"];
    assert_eq!((&schedule["steps"], &schedule["warmup_steps"]), (&4.into(), &0.into()));
    let found = &converged["details"];
    assert!(found["converged"] == true && found["gradient_norm"].as_f64().unwrap() <= 1e-6, "{found}");
    assert_eq!((&found["held_out"], found["tried"].as_array().unwrap().len()), (&12.into(), 15));
    let mlp: Value =
        serde_json::from_slice(&fs::read(place.path("run/checkpoints/step-00000003/eval-mlp.json")).unwrap())
            .unwrap();
    let details = &mlp[1]["results"][1]["details"];
    assert_eq!((&details["protocol"], &details["encoder_mode"]), (&"reference".into(), &"training".into()));
    assert_eq!(details["norms_settled_on_validation_batches"], 2, "of 12 samples, in batches of 5");
    // 24 steps, 12 an epoch: the drops after steps 16 and 22 come one epoch later, after the end.
    assert_eq!(
        (&details["schedule"]["warmup_steps"], &details["schedule"]["drops"]),
        (&0.into(), &Value::Array(vec![]))
    );
}

#[test]
fn every_evaluation_covers_the_trained_and_the_initial_encoder_and_repeats_to_the_bit() {
    let (place, validation) = trained();
    let evaluations: [(&str, &[&str], usize); 7] = [
        ("linear", &["--epochs", "4"], 1),
        ("mlp", &["--epochs", "4", "--cache-features", "features"], 1),
        ("linear", &["--epochs", "4", "--cache-features", "features"], 1),
        ("linear", &["--solver", "lbfgs", "--cache-features", "features"], 1),
        ("mlp", &["--protocol", "reference", "--epochs", "2", "--batch-size", "5"], 1),
        ("knn", &["--k", "1,5"], 2),
        ("finetune", &["--label-fraction", "0.5", "--steps", "30"], 1),
    ];
    for (name, more, variants) in evaluations {
        let mut words = vec![name, "--baseline", "--val-shards", &validation];
        words.extend(more);
        let said = succeed(&mut eval(&place, &words));
        let found = results(&said.stdout);
        assert_eq!(found.len(), 2 * variants, "{name}");
        for (result, encoder) in found.iter().step_by(variants).zip([("initial", 0), ("trained", 3)]) {
            check_result(name, result, encoder);
        }
        let path = place.path("run/checkpoints/step-00000003").join(format!("eval-{name}.json"));
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let kept = &file.as_array().unwrap().last().unwrap()["results"][0]["report"];
        assert_eq!(kept["top1"], found[0]["report"]["top1"]);
        let counts = kept["confusion"].as_array().unwrap().iter().map(|entry| entry[2].as_u64().unwrap());
        assert_eq!(counts.sum::<u64>(), 12, "{name}: every sample is in the confusion matrix");
        assert_eq!(kept["per_class"].as_array().unwrap().len(), 3);
        assert_eq!(succeed(&mut eval(&place, &words)).stdout, said.stdout, "{name} repeats to the bit");
    }
    check_files(&place);
    // The cache has features of both sets by both encoders.
    let kept = fs::read_dir(place.path("features")).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "features")
    });
    assert_eq!(kept.count(), 4);
}

#[test]
fn an_evaluation_without_usable_data_or_settings_is_refused_with_the_reason() {
    let (place, validation) = trained();
    let entry =
        |label: Option<&str>| Entry { key: "a".into(), image: jpeg(1), label: label.map(str::to_owned) };
    place.write("foreign.tar", [entry(Some("7"))]);
    place.write("bare.tar", [entry(None)]);
    place.write("none.tar", []);
    let refused: [(&[&str], &str); 11] = [
        (&["linear"], "no validation shards"),
        (&["linear", "--val-shards", "foreign.tar"], "a label 7, the training shards only 0 to 2"),
        (&["knn", "--val-shards", "bare.tar"], "no validation sample is labelled"),
        (&["knn", "--val-shards", "none.tar"], "there are no images in the shard: `none.tar`"),
        (&["mlp", "--shards", "bare.tar", "--val-shards", &validation], "no training sample is labelled"),
        (&["knn", "--k", "0", "--val-shards", &validation], "not a whole number from 1 to 100000"),
        (
            &["finetune", "--label-fraction", "1.5", "--val-shards", &validation],
            "not a number from 0.000001 to 1",
        ),
        (&["linear", "--lr", "0", "--val-shards", &validation], "not a number from 1e-12"),
        (
            &["linear", "--solver", "lbfgs", "--epochs", "3", "--val-shards", &validation],
            "so --epochs has no effect",
        ),
        (&["mlp", "--solver", "lbfgs", "--val-shards", &validation], "unexpected argument '--solver'"),
        (
            &["mlp", "--protocol", "reference", "--cache-features", "x", "--val-shards", &validation],
            "leave out one",
        ),
    ];
    for (words, why) in refused {
        let said = run(&mut eval(&place, words));
        assert!(said.code != Some(0) && said.stderr.contains(why), "{words:?}: {}", said.stderr);
    }
}
