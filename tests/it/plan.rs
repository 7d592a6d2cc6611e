//! `plan`, the description of a run before it starts.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Entry, Place, Said, jpeg, succeed};

/// Plans a run on these shards. Returns the plan and the output.
fn plan(place: &Place, pattern: &str, out: &str, more: &[&str]) -> (Value, Said) {
    let train = place.train(pattern, out, more);
    let mut command = crate::support::program();
    command.arg("plan").args(train.get_args()).env("AMDIM_STREAM_CACHE", place.path("cache"));
    let said = succeed(&mut command);
    assert_eq!(said.stdout.lines().count(), 1, "{}", said.stdout);
    (serde_json::from_str(&said.stdout).unwrap(), said)
}

fn glob(place: &Place) -> String {
    place.path("x-*.tar").to_str().unwrap().to_owned()
}

/// Returns the origin of a setting and its value.
fn setting<'a>(plan: &'a Value, key: &str) -> (&'a str, &'a Value) {
    let settings = plan["settings"].as_array().unwrap();
    let setting = settings.iter().find(|setting| setting["key"] == key).unwrap();
    (setting["from"].as_str().unwrap(), &setting["value"])
}

#[test]
fn samples_are_counted_and_gaps_are_named() {
    let place = Place::new();
    place.shards("x", 5, 20);
    fs::remove_file(place.path("x-001.tar")).unwrap();
    let unlabelled = Entry { key: "a".to_owned(), image: jpeg(1), label: None };
    let last = Entry { key: "b".to_owned(), image: jpeg(2), label: Some("5".to_owned()) };
    place.write("x-003.tar", [unlabelled, last]);
    let (plan, said) = plan(&place, &glob(&place), "run", &["--no-measure", "--epochs", "4"]);
    let data = &plan["data"];
    assert_eq!((&data["shards"], &data["samples"], &data["unlabelled"]), (&4.into(), &62.into(), &1.into()));
    let counts: Vec<_> =
        data["labels"]["counts"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>(), &counts[3..]), (6, 61, &[0, 0, 1][..]));
    assert_eq!((&data["labels"]["empty"], &data["labels"]["smallest"]), (&2.into(), &1.into()));
    let missing = place.path("x-001.tar").to_str().unwrap().to_owned();
    assert_eq!(data["gaps"], serde_json::json!([{"missing": [missing], "count": 1}]));
    assert!(said.stderr.contains(&format!("`{missing}`")), "{}", said.stderr);
    assert_eq!((&plan["steps"], &plan["batch_size"]), (&15.into(), &16.into())); // 4 · 62 / 16
    assert!(plan["measured"].is_null() && plan["forecast"].is_null());
    assert!(!place.path("run").exists(), "a plan makes no run folder");
}

#[test]
fn memory_banks_are_named_with_their_size() {
    let place = Place::new();
    place.shards("x", 1, 20);
    let method = ["--no-measure", "--method", "instdisc", "--encoder", "amdim", "--dim", "32"];
    let (plan, said) = plan(&place, &glob(&place), "run", &method);
    let bytes = 20 * 32 * 4;
    assert_eq!(plan["memory"]["state"], serde_json::json!([{ "name": "memory bank", "bytes": bytes }]));
    let text = said.stderr.replace("INFO", "");
    let text: Vec<_> = text.split_whitespace().collect();
    assert!(text.join(" ").contains("; memory bank 2.56 kB"), "{text:?}");
}

#[test]
fn each_setting_has_its_value_and_origin() {
    let place = Place::new();
    place.shards("x", 1, 20);
    fs::write(place.path("c.toml"), "seed = 5\n[optim]\nlr = 1e-3\n[run]\nkeep = 2\n").unwrap();
    let config = place.path("c.toml").to_str().unwrap().to_owned();
    let more = ["--no-measure", "--config", &config, "--lr", "5e-4", "--precision", "auto"];
    let (plan, said) = plan(&place, &glob(&place), "run", &more);
    for (key, from, value) in [
        ("optim.lr", "flag", 5e-4.into()),
        ("train.batch_size", "flag", 16.into()),
        ("seed", "file", 5.into()),
        ("run.keep", "file", 2.into()),
        ("train.epochs", "preset", 300.0.into()),
        ("optim.warmup_steps", "machine", 37.into()),
        ("optim.schedule", "default", "published".into()),
        ("run.device", "flag", "cpu".into()),
    ] {
        assert_eq!(setting(&plan, key), (from, &value), "{key}");
    }
    assert_eq!(setting(&plan, "optim.drop_at").0, "preset");
    for key in ["train.precision", "run.workers", "run.threads"] {
        let (from, value) = setting(&plan, key);
        assert!(from == "machine" && !value.is_null() && value != "auto", "{key}: {from}, {value}");
    }
    let widest = said.stderr.lines().map(|line| line.chars().count()).max();
    // Lines are at most 100 columns wide, except those with long paths.
    assert!(widest.is_some_and(|widest| widest <= 100.max(20 + config.len())), "{}", said.stderr);
}

#[test]
fn the_forecast_follows_from_the_measurements() {
    let place = Place::new();
    place.shards("x", 2, 40);
    let (plan, said) = plan(&place, &glob(&place), "run", &["--steps", "30"]);
    let number = |path: &str| {
        plan.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {plan}"))
    };
    let rate = number("/forecast/images_per_second");
    let (data, compute) = (number("/forecast/alone/data"), number("/forecast/alone/compute"));
    assert!(rate > 0.0 && rate <= data && rate <= compute, "{plan}");
    assert!((number("/forecast/seconds") * rate / (30.0 * 16.0) - 1.0).abs() < 1e-6);
    assert!((number("/forecast/seconds_an_epoch") * rate / 80.0 - 1.0).abs() < 1e-6);
    let step = &plan["measured"]["step"];
    assert_eq!(step["batch_size"], 16);
    // A step needs at least parameters, two moments and gradients in f32.
    assert!(step["bytes"].as_f64().unwrap() >= 16.0 * number("/parameters"));
    assert!(plan["measured"]["loading"]["copy_ms"].is_null());
    assert!(number("/memory/host_peak_bytes") > number("/memory/slab_bytes") * number("/memory/slabs"));
    assert!(["loading", "step", "forecast", "faster"].iter().all(|label| said.stderr.contains(label)));
    assert!(!place.path("run").exists(), "a plan makes no run folder");
}

#[test]
fn a_plan_describes_the_run_in_its_folder_and_does_not_change_it() {
    let place = Place::new();
    place.shards("x", 1, 40);
    let train = ["--steps", "4", "--checkpoint-every", "2"];
    succeed(&mut place.train(&glob(&place), "run", &train));
    let before = listing(&place.path("run"));
    let with =
        |more: &[&str]| plan(&place, &glob(&place), "run", &[&train[..], &["--no-measure"], more].concat());
    let (finished, _) = with(&[]);
    assert_eq!((&finished["run"]["step"], &finished["run"]["is_finished"]), (&4.into(), &true.into()));
    assert_eq!(setting(&finished, "optim.lr").0, "run");
    assert_eq!(finished["checkpoints"]["present"], 2);
    let (refused, said) = with(&["--lr", "0.1"]);
    assert!(refused["run"]["refused"].as_str().unwrap().contains("`optim.lr`"), "{refused}");
    assert_eq!((&refused["run"]["step"], &refused["run"]["is_finished"]), (&4.into(), &false.into()));
    assert_eq!(setting(&refused, "optim.lr").0, "flag");
    assert!(said.stderr.contains("hint: name another folder with --out"), "{}", said.stderr);
    assert_eq!(listing(&place.path("run")), before);
    // A checkpoint takes the forecast bytes, plus headers.
    let forecast = finished["checkpoints"]["checkpoint_bytes"].as_u64().unwrap();
    let files = fs::read_dir(place.path("run/checkpoints/step-00000004")).unwrap();
    let taken: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!((forecast..forecast + 100_000).contains(&taken), "{forecast} forecast, {taken} taken");
    let (unchanged, said) = with(&["--if-changed"]);
    assert_eq!(unchanged["run"]["is_unchanged"], true);
    assert!(said.stderr.contains("nothing"), "{}", said.stderr);
    let nowhere = place.path("nowhere").to_str().unwrap().to_owned();
    let (refused, said) = plan(&place, &glob(&place), "new", &["--no-measure", "--warm-start", &nowhere]);
    assert!(refused["run"]["refused"].as_str().unwrap().contains("no checkpoint in"), "{refused}");
    assert!(said.stderr.contains("hint: name a run folder"), "{}", said.stderr);
    place.shards("x", 1, 39);
    let (other, _) = with(&[]);
    assert!(other["run"]["refused"].as_str().unwrap().contains("training shards"), "{other}");
    let (changed, said) = with(&["--if-changed", "--lr", "0.1"]);
    assert!(changed["run"]["refused"].is_null(), "a new run may have other settings: {changed}");
    assert_eq!(changed["run"]["changes"], "shards: 0 added, 0 removed, 1 altered");
    assert_eq!(
        (&changed["run"]["is_unchanged"], &changed["checkpoints"]["present"]),
        (&false.into(), &0.into())
    );
    assert!(said.stderr.contains("`previous`"), "{}", said.stderr);
}

/// Returns the names in a folder and their times of modification.
fn listing(folder: &Path) -> Vec<(std::ffi::OsString, std::time::SystemTime)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name(), entry.metadata().unwrap().modified().unwrap())
    };
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(entry).collect();
    all.sort();
    all
}

/// Two processes of eight samples: 4 contexts of 16 numbers and 6 sums travel, forward and back, and 2 feature vectors
/// with a label. A process sends each of them to the other one.
#[test]
fn several_processes_are_forecast_with_what_they_send() {
    let place = Place::new();
    place.shards("x", 2, 40);
    let length = ["--steps", "30"];
    let of = |more: &[&str]| plan(&place, &glob(&place), "run", &[&length[..], more].concat());
    let (two, said) = of(&["--processes", "2", "--bandwidth", "0.125"]);
    let found = &two["processes"];
    assert_eq!((&found["count"], &found["samples"], &found["refused"]), (&2.into(), &8.into(), &Value::Null));
    let sent = &found["sent"];
    let gradients = found["gradient_bytes"].as_u64().unwrap();
    assert_eq!(sent["gradients"], gradients + 4, "half of them and of the loss there and back");
    assert_eq!(sent["objective"], 8 * 4 * 2 * (4 * 16 + 6));
    assert_eq!(sent["probe"], 8 * (4 * 2 * 16 + 8));
    // Means and variances of 16 channels after each of three heads, forward and back for both views.
    assert_eq!(sent["norms"], 4 * 2 * (3 * 16) * 4);
    let (counted, _) = of(&["--processes", "2", "--bandwidth", "0.125", "--no-measure"]);
    for name in ["sent", "gradient_bytes"] {
        assert_eq!(counted["processes"][name], found[name], "{name} without a step");
    }
    let number = |path: &str| two.pointer(path).and_then(Value::as_f64).unwrap();
    let trained = number("/processes/gradient_bytes") / 4.0;
    assert!(trained > 1e3 && trained < number("/parameters"), "{two}");
    let bytes: f64 =
        ["gradients", "objective", "probe", "norms"].iter().filter_map(|of| sent[of].as_f64()).sum();
    let traffic = number("/processes/expected/traffic_milliseconds");
    assert!((traffic / (bytes / 0.125e6) - 1.0).abs() < 1e-9, "{two}");
    let own = number("/processes/expected/own_milliseconds");
    assert!((own / (8e3 / number("/forecast/images_per_second")) - 1.0).abs() < 1e-9, "{two}");
    let least = number("/processes/expected/images_per_second/0");
    assert!((least / (16e3 / (own + traffic)) - 1.0).abs() < 1e-9, "{two}");
    assert!(number("/processes/expected/efficiency/1") <= 1.0);
    assert!(said.stderr.contains("processes   2, with 8 samples"), "{}", said.stderr);
    let (alone, _) = of(&["--no-measure", "--processes", "1"]);
    assert_eq!(
        (&alone["processes"]["sent"]["gradients"], &alone["processes"]["expected"]),
        (&0.into(), &Value::Null)
    );
    assert!(of(&["--no-measure"]).0["processes"].is_null());
    let command = || {
        let mut command = crate::support::program();
        command
            .arg("plan")
            .args(place.train(&glob(&place), "run", &["--steps", "30", "--no-measure"]).get_args());
        command
    };
    let mut launched = command();
    launched.envs([
        ("RANK", "0"),
        ("WORLD_SIZE", "4"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "29500"),
    ]);
    let launched: Value = serde_json::from_str(&succeed(&mut launched).stdout).unwrap();
    assert_eq!((&launched["processes"]["count"], &launched["processes"]["samples"]), (&4.into(), &4.into()));
    let refused = crate::support::run(command().args(["--bandwidth", "1"]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("add --processes N"), "{}", refused.stderr);
}

#[test]
fn processes_that_cannot_share_a_batch_are_named_with_sizes_that_work() {
    let place = Place::new();
    place.shards("x", 2, 40);
    for (more, hint) in [
        (&["--processes", "3"][..], "set --batch-size to 15 or 18"),
        (&["--processes", "4", "--accumulate", "8"], "set --batch-size to 32"),
        (&["--processes", "3", "--partitions", "2"], "start as many processes"),
        (&["--processes", "4", "--bn-groups", "2"], "set --bn-groups to one of"),
    ] {
        let (plan, said) = plan(&place, &glob(&place), "run", &[more, &["--no-measure"]].concat());
        assert!(plan["processes"]["refused"].as_str().unwrap().contains(hint), "{plan}");
        assert!(plan["processes"]["samples"].is_null() && plan["processes"]["sent"].is_null(), "{plan}");
        assert!(said.stderr.contains(hint) && said.stderr.contains("cannot share"), "{}", said.stderr);
    }
}
