//! The meaning of labels: sets whose `classes.txt` differ, `pack --classes`, and the names of classes in
//! results and files.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::support::{Place, jpeg, json, lines, program, run, succeed};

/// Writes a folder of six images for each class.
fn images(place: &Place, name: &str, classes: &[&str]) {
    for (number, class) in classes.iter().enumerate() {
        let folder = place.path(name).join(class);
        fs::create_dir_all(&folder).unwrap();
        for image in 0..6 {
            fs::write(folder.join(format!("{image}.jpg")), jpeg(number + 10 * image)).unwrap();
        }
    }
}

fn command(place: &Place, words: &[&str]) -> Command {
    let mut command = program();
    command.args(words).current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

/// Packs training and validation images into folders of their own. Label 0 is `ant` in one and `bee` in the
/// other.
fn numbered_apart() -> Place {
    let place = Place::new();
    images(&place, "train", &["ant", "bee", "cat"]);
    images(&place, "val", &["bee", "cat"]);
    let said = succeed(&mut command(&place, &["pack", "train", "--out", "a", "--prefix", "train"]));
    assert!(said.stderr.contains("--classes 'a/classes.txt'"), "{}", said.stderr);
    succeed(&mut command(&place, &["pack", "val", "--out", "b", "--prefix", "val"]));
    place
}

#[test]
fn every_command_refuses_sets_whose_labels_mean_different_classes() {
    let place = numbered_apart();
    succeed(&mut place.train(place.path("a/train-000.tar").to_str().unwrap(), "run", &["--steps", "1"]));
    let (train, val) = ("a/train-000.tar", "b/val-000.tar");
    let eval = ["--checkpoint", "run", "--device", "cpu", "--shards", train, "--val-shards", val];
    for (words, more) in [
        (
            &["--preset", "c10", "--steps", "1", "--out", "r", "--shards", train, "--val-shards", val][..],
            &[][..],
        ),
        (&["--preset", "c10", "--steps", "1", "--out", "r", "--shards", train, val], &[]),
        (&["plan", "--no-measure", "--shards", train, "--val-shards", val], &[]),
        (&["eval", "knn"], &eval),
        (&["eval", "finetune"], &eval),
        (&["verify", "--shards", train, val], &[]),
        (&["embed", "--checkpoint", "run", "--out", "e", "--device", "cpu", "--shards", train, val], &[]),
    ] {
        let said = run(&mut command(&place, &[words, more].concat()));
        let what =
            "line 1 is `ant` in `a/classes.txt`, but `bee` in `b/classes.txt`, so label 0 is two classes";
        assert!(said.stderr.contains(what), "{words:?}: {}", said.stderr);
        assert!(
            said.stderr.contains("pack IMAGES --out DIR --classes 'a/classes.txt'"),
            "{words:?}: {}",
            said.stderr
        );
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{words:?}");
    }
    assert!(!place.path("r").exists() && !place.path("e").exists());
}

#[test]
fn a_folder_numbered_like_the_training_folder_is_evaluated_and_its_classes_are_named() {
    let place = numbered_apart();
    let pack = ["pack", "val", "--out", "b", "--prefix", "val", "--force", "--classes", "a/classes.txt"];
    succeed(&mut command(&place, &pack));
    assert_eq!(
        fs::read(place.path("a/classes.txt")).unwrap(),
        fs::read(place.path("b/classes.txt")).unwrap()
    );
    let (train, val) = (place.path("a/train-000.tar"), place.path("b/val-000.tar"));
    let [train, val] = [train.to_str().unwrap(), val.to_str().unwrap()];
    succeed(&mut place.train(train, "run", &["--steps", "1", "--val-shards", val]));

    let said =
        succeed(&mut command(&place, &["eval", "knn", "--k", "1", "--checkpoint", "run", "--device", "cpu"]));
    assert!(!said.stderr.contains("classes.txt"), "{}", said.stderr);
    let report = |run: &str| {
        let path = place.path(run).join("checkpoints/step-00000001/eval-knn.json");
        json(&path)[0]["results"][0]["report"].clone()
    };
    let first = report("run");
    assert_eq!(first["class_names"], serde_json::json!(["ant", "bee", "cat"]));
    assert!(
        first["per_class"][0].is_null() && first["per_class"][2].is_number(),
        "no validation image is an ant: {first}"
    );

    let embed = |format: &str, out: &str| {
        let words =
            ["embed", "--checkpoint", "run", "--device", "cpu", "--shards", "b/val-000.tar", "--format"];
        succeed(&mut command(&place, &[&words[..], &[format, "--out", out]].concat()));
    };
    embed("npy", "n");
    let text = fs::read_to_string(place.path("n/00000-val-000.tsv")).unwrap();
    assert!(text.contains("bee/0\t1\tbee\n") && text.contains("cat/5\t2\tcat\n"), "{text}");
    embed("parquet", "p");

    // An export contains the names.
    succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", "enc.safetensors"]));
    succeed(&mut command(
        &place,
        &["export", "--checkpoint", "run", "--with-probes", "--out", "all.safetensors"],
    ));
    let bytes = fs::read(place.path("enc.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&bytes[..4096.min(bytes.len())]).into_owned();
    assert!(header.contains(r#"\"class_names\":[\"ant\",\"bee\",\"cat\"]"#), "{header}");
    succeed(&mut command(&place, &["import", "all.safetensors", "--out", "imported"]));
    let folder = fs::read_dir(place.path("imported/checkpoints")).unwrap().next().unwrap().unwrap().path();
    let kept = json(&folder.join("state.json"))["content"]["state"]["class_names"].clone();
    assert_eq!(kept, first["class_names"]);
}

#[test]
fn class_names_of_a_checkpoint_apply_to_its_own_shards_only_and_a_reordered_list_is_noticed() {
    let place = Place::new();
    let (train, val) = (place.shards("train", 1, 30), place.shards("val", 1, 12));
    let list = place.path("classes.txt");
    fs::write(&list, "ant\nbee\ncat\n").unwrap();
    let steps = ["--steps", "1", "--val-shards", &val];
    succeed(&mut place.train(&train, "run", &steps));
    let judged = |shards: &str| {
        let words = ["eval", "knn", "--k", "1", "--checkpoint", "run", "--device", "cpu", "--shards", shards];
        let said = succeed(&mut command(&place, &[&words[..], &["--val-shards", &val]].concat())).stderr;
        let kept = json(&place.path("run/checkpoints/step-00000001/eval-knn.json"));
        (said, kept.as_array().unwrap().last().unwrap()["results"][0]["report"]["class_names"].clone())
    };
    let reordered = "line 2 of classes.txt is `cat`, but was `bee`";
    fs::write(&list, "ant\ncat\nbee\n").unwrap();
    assert!(judged(&train).0.contains(reordered));
    fs::remove_file(&list).unwrap();
    assert_eq!(judged(&train).1, serde_json::json!(["ant", "bee", "cat"]));
    let foreign = place.shards("foreign", 1, 24);
    assert!(judged(&foreign).1.is_null(), "in other shards a label may mean another class");
    fs::write(&list, "ant\ncat\nbee\n").unwrap();
    let said = succeed(&mut place.train(&train, "run", &steps));
    assert!(said.stderr.contains(reordered), "{}", said.stderr);
}

#[test]
fn a_run_started_with_relative_patterns_resumes_from_another_folder() {
    let place = Place::new();
    for (name, count) in [("train", 30), ("val", 12)] {
        place.shards(name, 1, count);
    }
    fs::create_dir_all(place.path("elsewhere")).unwrap();
    let begin = ["--val-shards", "./val-000.tar", "--steps", "2", "--checkpoint-every", "1"];
    let mut first = place.train("train-<000..000>.tar", "run", &begin);
    succeed(first.current_dir(place.path(".")));
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let folder = place.path(".").canonicalize().unwrap();
    for name in ["train-<000..000>.tar", "val-000.tar"] {
        assert!(config.contains(&format!("\"{}/{name}\"", folder.display())), "{config}");
    }
    fs::remove_dir_all(place.path("run/checkpoints/step-00000002")).unwrap();
    let again = ["--out", "../run", "--device", "cpu"];
    let mut again = command(&place, &again);
    succeed(again.current_dir(place.path("elsewhere")).stdin(Stdio::null()));
    assert_eq!(lines(&place.path("run/metrics.jsonl")).last().unwrap()["step"], 2);
    let eval = ["eval", "knn", "--k", "1", "--checkpoint", "../run", "--device", "cpu"];
    succeed(command(&place, &eval).current_dir(place.path("elsewhere")));
}

#[test]
fn a_warning_names_validation_shards_that_are_also_training_shards() {
    let place = Place::new();
    for (name, count) in [("train", 30), ("val", 12)] {
        place.shards(name, 1, count);
    }
    std::os::unix::fs::symlink("val-000.tar", place.path("link.tar")).unwrap();
    let plan = |shards: &str, val: &[&str]| {
        let words = ["plan", "--no-measure", "--preset", "c10", "--shards", shards, "--val-shards"];
        succeed(&mut command(&place, &[&words[..], val].concat())).stderr
    };
    let said = plan("{train,val}-000.tar", &["./val-000.tar"]);
    assert!(
        said.contains("WARN 1 of the 1 validation shards are also training shards: `./val-000.tar`;"),
        "{said}"
    );
    assert!(plan("{train,val}-000.tar", &["link.tar"]).contains("training shards: `link.tar`;"));
    assert!(!plan("train-000.tar", &["val-000.tar"]).contains("WARN"));
    let twice = run(&mut command(&place, &["plan", "--no-measure", "--shards", "val-000.tar", "link.tar"]));
    assert!(
        twice.stderr.contains("`link.tar` is named twice, it is the same file as `val-000.tar`"),
        "{}",
        twice.stderr
    );
}
