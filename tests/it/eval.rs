//! Evaluations of whole runs.

use std::{fs, process::Command};

use serde_json::Value;

use crate::support::{Entry, Place, jpeg, program, run, succeed};

fn eval(place: &Place, words: &[&str]) -> Command {
    let mut command = program();
    command.arg("eval").args(words).args(["--checkpoint", "run", "--device", "cpu"]);
    command.current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

/// A run of a few steps, and validation shards.
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

/// One result of the evaluation `name` is of this encoder, after this many steps, and its numbers make sense.
fn judges_twelve_samples(name: &str, result: &Value, (encoder, step): (&str, u64)) {
    assert!(result["encoder"] == encoder && result["step"] == step, "{result}");
    let report = &result["report"];
    assert_eq!(report["samples"], 12);
    let (top1, top5) = (report["top1"].as_f64().unwrap(), report["top5"].as_f64().unwrap());
    // Of three classes all are among the first five, but for those that no neighbour votes for.
    let least = if name == "knn" { top1 } else { 1.0 };
    assert!((0.0..=1.0).contains(&top1) && (least..=1.0).contains(&top5), "{name}: {report}");
    let settled_on = if encoder == "initial" { Value::from(60) } else { Value::Null };
    assert_eq!(result["settled_on"], settled_on, "norms of the encoder that was not trained: {result}");
    assert!(name == "finetune" || result["health"]["rankme"].as_f64().unwrap() >= 1.0, "{result}");
}

/// The files of the linear and the reference's MLP evaluations tell how each classifier was fitted.
fn every_way_to_fit_is_kept(place: &Place) {
    // Three ways to fit a linear classifier: all are kept, each once, under its name.
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
    // 24 steps, 12 an epoch: drops after 16 and 22 come one epoch later, when all is over.
    assert_eq!(
        (&details["schedule"]["warmup_steps"], &details["schedule"]["drops"]),
        (&0.into(), &Value::Array(vec![]))
    );
}

#[test]
fn every_evaluation_judges_the_trained_and_the_initial_encoder_and_repeats_to_the_bit() {
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
            judges_twelve_samples(name, result, encoder);
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
    every_way_to_fit_is_kept(&place);
    // Both encoders' features of both sets.
    let kept = fs::read_dir(place.path("features")).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "features")
    });
    assert_eq!(kept.count(), 4);
}

#[test]
fn what_cannot_be_judged_is_refused_with_its_reason() {
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
