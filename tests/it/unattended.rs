//! What runs do when nobody watches.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;
use shards::{IndexConfig, LocalSource, Order, Position, ShardSet, Share};

use crate::support::{Entry, Place, jpeg, json, lines, program, run, start_until, succeed, tensors};

/// A run of two steps on all `train-*.tar` of the place.
fn nightly(place: &Place, more: &[&str]) -> Command {
    let pattern = place.path("train-*.tar").to_str().unwrap().to_owned();
    place.train(&pattern, "run", &[&["--steps", "2", "--if-changed"], more].concat())
}

fn add_shard(place: &Place, name: &str) {
    let entry = |number: usize| Entry {
        key: format!("new-{number}"),
        image: jpeg(number),
        label: Some("0".to_owned()),
    };
    place.write(name, (0..20).map(entry));
}

#[test]
fn a_finished_run_is_left_alone_in_silence_until_a_shard_changes() {
    let place = Place::new();
    place.shards("train", 2, 20);
    succeed(&mut nightly(&place, &["--warm-start", "last"]));
    let before = tensors(&place.path("run"), 2);
    let again = succeed(&mut nightly(&place, &["--warm-start", "last"]));
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    let told = run(&mut nightly(&place, &["--warm-start", "last", "--exit-code-unchanged"]));
    assert_eq!(told.code, Some(3), "{}", told.stderr);
    add_shard(&place, "train-002.tar");
    let anew = succeed(&mut nightly(&place, &["--warm-start", "last"]));
    for part in ["1 added, 0 removed, 0 altered", "previous", "begins with the encoder of", "60 samples"] {
        assert!(anew.stderr.contains(part), "no `{part}`: {}", anew.stderr);
    }
    assert!(before == tensors(&place.path("run/previous"), 2), "the run before is kept");
    assert!(before != tensors(&place.path("run"), 2));
    // Another beginning is of the next run, not of this one.
    let again = succeed(&mut nightly(&place, &["--warm-start", "best"]));
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    // Altered, as far as anybody can tell without reading it.
    add_shard(&place, "train-001.tar");
    let anew = succeed(&mut nightly(&place, &["--warm-start", "best"]));
    assert!(anew.stderr.contains("0 added, 0 removed, 1 altered"), "{}", anew.stderr);
}

#[test]
fn a_run_whose_checkpoints_are_gone_is_not_taken_for_finished() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    add_shard(&place, "train-001.tar");
    succeed(&mut nightly(&place, &[]));
    tensors(&place.path("run"), 2);
    assert_eq!(json(&place.path("run/manifest.json"))["shards"].as_array().unwrap().len(), 2);
}

#[test]
fn a_finished_run_whose_last_checkpoint_is_damaged_is_finished_again() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let night = || promote(&place, &["loss<0"]);
    assert_eq!(run(night().args(["--checkpoint-every", "1"])).code, Some(5));
    let before = tensors(&place.path("run"), 2);
    let model = place.path("run/checkpoints/step-00000002/model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&model, bytes).unwrap();
    // What became of it when it was whole is not said again before it is.
    assert_eq!(run(night().args(["--max-hours", "1e-9"])).code, Some(130));
    assert_eq!(run(&mut night()).code, Some(5));
    assert!(before == tensors(&place.path("run"), 2));
    succeed(&mut night());
}

#[test]
fn a_start_without_time_costs_nothing_that_lies_there() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    let before = tensors(&place.path("run"), 2);
    for shard in ["train-001.tar", "train-002.tar"] {
        add_shard(&place, shard);
        assert_eq!(run(&mut nightly(&place, &["--max-hours", "1e-9"])).code, Some(130));
    }
    assert!(!place.path("run/previous").exists() && before == tensors(&place.path("run"), 2));
}

#[test]
fn settings_that_changed_are_refused_though_shards_have_not() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    let said = run(&mut nightly(&place, &["--lr", "0.5"]));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`optim.lr` = 0.5"), "{}", said.stderr);
}

#[test]
fn the_first_run_begins_anew_where_there_was_none_to_begin_with() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let said = succeed(&mut nightly(&place, &["--warm-start", "last"]));
    assert!(said.stderr.contains("training begins anew"), "{}", said.stderr);
}

#[test]
fn an_unfinished_run_goes_on_and_makes_way_when_its_shards_change() {
    let place = Place::new();
    place.shards("train", 2, 20);
    let pattern = place.path("train-*.tar").to_str().unwrap().to_owned();
    let length = ["--steps", "100000", "--checkpoint-every", "1", "--if-changed", "--warm-start", "last"];
    let train = || place.train(&pattern, "run", &length);
    for _ in 0..2 {
        let mut child = start_until(&mut train(), &place.path("run"), 3);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("run/previous").exists());
    }
    // Killed as the one before, of which it is told before it makes way.
    fs::remove_file(place.path("train-001.tar")).unwrap();
    let said = run(train().args(["--max-hours", "0.001"]));
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(said.stderr.contains("did not end in order: the last checkpoint is of step"), "{}", said.stderr);
    assert!(place.path("run/previous/checkpoints").exists());
}

#[test]
fn a_run_that_is_out_of_time_is_saved_and_goes_on() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let summary = place.path("summary.json");
    // Room for the start and some steps; what it takes to end is kept free.
    let length = ["--steps", "100000", "--checkpoint-every", "100000", "--quiet"];
    let mut steps = 0;
    for _ in 0..2 {
        let mut train = place.train(&pattern, "run", &length);
        train.args(["--max-hours", "0.004", "--summary"]).arg(&summary);
        let said = run(&mut train);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (Some(130), "", ""));
        let summary = json(&summary);
        assert_eq!((&summary["ended"], &summary["interrupted_by"]), (&"interrupted".into(), &"time".into()));
        let step = summary["step"].as_u64().unwrap();
        assert!(step > steps, "{step} after {steps}");
        tensors(&place.path("run"), step);
        steps = step;
    }
}

fn promote(place: &Place, gates: &[&str]) -> Command {
    let models = place.path("models").to_str().unwrap().to_owned();
    let summary = place.path("summary.json").to_str().unwrap().to_owned();
    let mut command =
        nightly(place, &["--warm-start", "last", "--quiet", "--promote", &models, "--summary", &summary]);
    for gate in gates {
        command.args(["--gate", gate]);
    }
    command
}

fn latest(place: &Place) -> PathBuf {
    fs::read_link(place.path("models/latest")).unwrap()
}

#[test]
fn a_run_is_promoted_if_it_passes_its_gate_and_nothing_changes_if_not() {
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

    // Nothing to do is no second promotion.
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
    // It was told once.
    succeed(&mut promote(&place, &["loss<=0.001*previous"]));

    add_shard(&place, "train-002.tar");
    succeed(&mut promote(&place, &["loss<=1.5*previous"]));
    assert_ne!(latest(&place), first);
    assert!(place.path("models").join(first).join("encoder.safetensors").exists(), "the one before stays");
}

#[test]
fn a_promotion_that_could_not_be_written_is_made_up_for() {
    let place = Place::new();
    place.shards("train", 1, 20);
    fs::create_dir_all(place.path("models/latest")).unwrap(); // in the way of the link
    let said = run(&mut promote(&place, &[]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("is not a link") && said.stderr.contains("hint: "), "{}", said.stderr);
    fs::remove_dir(place.path("models/latest")).unwrap();
    succeed(&mut promote(&place, &[]));
    assert!(place.path("models/latest/encoder.safetensors").exists());
}

#[test]
fn a_link_that_leads_nowhere_does_not_open_the_gate() {
    let place = Place::new();
    place.shards("train", 1, 20);
    fs::create_dir_all(place.path("models")).unwrap();
    std::os::unix::fs::symlink("gone", place.path("models/latest")).unwrap();
    let said = run(&mut promote(&place, &["loss<=previous"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("point to a complete promotion"), "{}", said.stderr);
}

#[test]
fn a_finished_run_is_judged_again_by_other_gates() {
    let place = Place::new();
    place.shards("train", 1, 20);
    assert_eq!(run(&mut promote(&place, &["loss<0"])).code, Some(5));
    assert_eq!(json(&place.path("run/manifest.json"))["promotion"]["name"], Value::Null);
    succeed(&mut promote(&place, &["loss<1000"]));
    let first = latest(&place);
    // As if it had been killed before it noted what it did: the run is not held against itself.
    let mut manifest = json(&place.path("run/manifest.json"));
    manifest["promotion"] = Value::Null;
    fs::write(place.path("run/manifest.json"), manifest.to_string()).unwrap();
    succeed(&mut promote(&place, &["loss<previous"]));
    assert_eq!(latest(&place), first);
    // What is promoted already has to pass new gates as well.
    let said = run(&mut promote(&place, &["loss<1"]));
    assert_eq!(said.code, Some(5));
    assert!(said.stderr.contains("since an earlier start, does not pass"), "{}", said.stderr);
    let promotion = &json(&place.path("summary.json"))["promotion"];
    assert_eq!(promotion["refused"].as_array().unwrap().len(), 1, "{promotion}");
    assert_eq!(latest(&place), first);
}

#[test]
fn neighbours_that_a_gate_asks_for_later_are_asked_then() {
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

#[test]
fn a_run_of_a_time_before_manifests_is_set_aside_when_its_shards_have_changed() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    fs::write(place.path("run/manifest.json"), "damaged").unwrap();
    succeed(&mut nightly(&place, &[]));
    assert!(!place.path("run/previous").exists());
    fs::remove_file(place.path("run/manifest.json")).unwrap();
    add_shard(&place, "train-001.tar");
    succeed(&mut nightly(&place, &[]));
    assert!(place.path("run/previous/checkpoints").exists());
}

#[test]
fn a_validation_that_did_not_end_is_made_up_for() {
    let place = Place::new();
    let (train, val) = (place.shards("train", 1, 32), place.shards("val", 1, 20));
    let length = ["--steps", "3", "--checkpoint-every", "1", "--val-shards", &val, "--best", "linear"];
    succeed(&mut place.train(&train, "run", &length));
    let best = json(&place.path("run/checkpoints/best.json"));
    let whole = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let validated = |text: &str| text.lines().filter(|line| line.contains("\"validation\"")).count();
    assert_eq!(validated(&whole), 2, "after step 2, and at the end");
    // As after a kill in the first one.
    let cut: Vec<_> = whole.lines().take_while(|line| !line.contains("\"validation\"")).collect();
    fs::write(place.path("run/metrics.jsonl"), cut.join("\n") + "\n").unwrap();
    fs::remove_dir_all(place.path("run/checkpoints/step-00000003")).unwrap();
    fs::remove_file(place.path("run/checkpoints/best.json")).unwrap();
    fs::remove_file(place.path("run/checkpoints/best")).unwrap();
    succeed(&mut place.train(&train, "run", &length));
    assert_eq!(validated(&fs::read_to_string(place.path("run/metrics.jsonl")).unwrap()), 2);
    assert_eq!(json(&place.path("run/checkpoints/best.json")), best);
    // As after a kill between that file and the link.
    fs::remove_file(place.path("run/checkpoints/best")).unwrap();
    succeed(&mut place.train(&train, "run", &length));
    let state = json(&place.path("run/checkpoints/best/state.json"));
    assert_eq!(state["content"]["state"]["step"], best["step"]);
}

#[test]
fn gates_that_cannot_be_judged_are_refused_before_the_run() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let models = place.path("models").to_str().unwrap().to_owned();
    for (arguments, part) in [
        (vec!["--promote", &models, "--gate", "knn>0.5"], "--knn-every"),
        (vec!["--promote", &models, "--gate", "linear>0.5"], "--val-shards"),
        (
            vec![
                "--promote",
                &models,
                "--gate",
                "knn>0.5",
                "--val-shards",
                "train-000.tar",
                "--best",
                "linear",
                "--knn-every",
                "2",
            ],
            "--best knn",
        ),
        (vec!["--promote", &models, "--gate", "rankme>1"], "256 training samples"),
        (vec!["--promote", &models, "--gate", "accuracy>0.5"], "linear, mlp, knn"),
        (vec!["--gate", "loss<1"], "--promote"),
        (vec!["--stop-at", "25:00"], "06:30"),
        (vec!["--max-hours", "0"], "not a number from"),
        (vec!["--promote", "train-000.tar/x"], "--promote"),
        (vec!["--summary", "nowhere/s.json"], "an existing folder"),
    ] {
        let said = run(nightly(&place, &arguments).current_dir(place.path("")));
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{arguments:?}: {}", said.stderr);
        assert!(!place.path("run").exists());
    }
}

#[test]
fn a_time_to_stop_at_is_of_a_zone_that_is_found_and_said() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let train = |zone: &str, limit: &[&str]| {
        let mut command = place.train(&pattern, "run", &[&["--steps", "1"], limit].concat());
        command.env("TZ", zone);
        command
    };
    for zone in ["Nowhere/City", "/nowhere", ":Nowhere"] {
        let said = run(&mut train(zone, &["--stop-at", "06:30"]));
        assert_eq!(said.code, Some(2), "{zone}: {}", said.stderr);
        assert!(
            said.stderr.contains(&format!("TZ={zone}")) && said.stderr.contains("hint: "),
            "{}",
            said.stderr
        );
        assert!(!place.path("run").exists());
    }
    // XST-9 is nine hours ahead of UTC; where there is no time of the day no zone is needed.
    for (zone, limit, shown) in [
        ("XST-9", ["--stop-at", "06:30"], "06:30 +09:00"),
        ("", ["--stop-at", "6:30"], "06:30 +00:00 (UTC)"),
        ("Nowhere/City", ["--max-hours", "1000"], "+00:00 (UTC)"),
    ] {
        let said = succeed(&mut train(zone, &limit));
        let first = said.stderr.lines().next().unwrap();
        assert!(first.contains(", until 2") && first.ends_with(shown), "{first}");
    }
}

#[test]
fn a_summary_is_written_of_what_went_wrong_too() {
    let place = Place::new();
    let summary = place.path("summary.json");
    let mut train = place.train("nowhere-<000..002>.tar", "run", &["--quiet", "--summary"]);
    assert_eq!(run(train.arg(&summary)).code, Some(1));
    let found = json(&summary);
    assert_eq!((&found["ended"], &found["exit_code"]), (&"failed".into(), &1.into()));
    assert!(found["error"].as_str().unwrap().contains("nowhere-000.tar"), "{found}");
    assert!(!found["hints"].as_array().unwrap().is_empty(), "{found}");
}

#[test]
fn every_record_says_what_holds_the_run_up() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "3"]));
    for line in lines(&place.path("run/metrics.jsonl")) {
        assert!(["data", "copy", "compute"].contains(&line["bound"].as_str().unwrap()), "{line}");
        assert!((0.0..=1.0).contains(&line["bound_share"].as_f64().unwrap()), "{line}");
    }
}

/// The views of a sample in the batches of a loader, view after view.
fn loaded(pattern: &str, index: u64, epoch: u64, workers: usize) -> Vec<Vec<u8>> {
    let set =
        ShardSet::open(LocalSource::new(&[pattern.to_owned()]).unwrap(), &IndexConfig::default()).unwrap();
    let recipe = pipeline::Preset::C10.recipe();
    let config =
        pipeline::LoaderConfig { seed: 7, workers, batch_size: 8, ..pipeline::LoaderConfig::default() };
    let bytes = config.shape(&recipe).bytes();
    let samples =
        set.samples(Order { seed: 7, ..Order::default() }, Share::default(), Position { epoch, offset: 0 });
    let slabs = (0..config.slabs()).map(|_| vec![0; bytes].into_boxed_slice()).collect();
    let loader = pipeline::Loader::spawn(samples, recipe.clone(), slabs, &config).unwrap();
    for batch in loader {
        let batch = batch.unwrap();
        if let Some(place) = batch.indices.iter().position(|&other| other == index as i64) {
            let view =
                |number| batch.view(number)[place * recipe.view_bytes()..][..recipe.view_bytes()].to_vec();
            return (0..recipe.views.len()).map(view).collect();
        }
    }
    unreachable!("the stream has no end")
}

#[test]
fn show_redraws_what_a_run_saw_with_any_number_of_threads() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "9", "--seed", "7"]));
    let out = place.path("views.png");
    let mut show = program();
    show.args(["show", "--force", "--sample", "00031", "--epoch", "2", "--run"])
        .arg(place.path("run"))
        .arg("-o")
        .arg(&out);
    succeed(show.env("AMDIM_STREAM_CACHE", place.path("cache")));
    let strip = image::open(&out).unwrap().to_rgb8();
    for workers in [1, 5] {
        for (number, view) in loaded(&pattern, 31, 2, workers).iter().enumerate() {
            let (left, top) = (40 + 4, number as u32 * (32 + 4));
            let drawn = image::imageops::crop_imm(&strip, left, top, 32, 32).to_image();
            assert!(drawn.into_raw() == *view, "view {number} with {workers} workers");
        }
    }
    let mut later = program();
    later.args(["show", "--sample", "00031", "--epoch", "99", "-o"]).arg(place.path("later.png"));
    let said = run(later.arg("--run").arg(place.path("run")).env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("has not reached epoch 99: it has begun 3"), "{}", said.stderr);
    // Another set under the run's name is not what it saw.
    add_shard(&place, "train-001.tar");
    let said = run(show.env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("1 altered") && said.stderr.contains("hint: "), "{}", said.stderr);
}
