//! Wrong command lines end with a line for the cause, a hint, and exit code 1 or 2.

use std::{fs, path::Path};

use crate::support::{Entry, Place, jpeg, program, run, succeed};

/// Runs the program with these arguments and checks that the message contains every part and a hint.
fn refused(place: &Place, arguments: &[&str], code: i32, parts: &[&str]) {
    let mut command = program();
    command.args(arguments).env("AMDIM_STREAM_CACHE", place.path("cache")).current_dir(place.path(""));
    let said = run(&mut command);
    assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.stderr);
    for part in parts {
        assert!(said.stderr.contains(part), "{arguments:?}: no `{part}` in: {}", said.stderr);
    }
    assert!(said.stderr.contains("hint: "), "{arguments:?}: {}", said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    assert!(said.stderr.lines().count() <= 6, "{arguments:?}: {}", said.stderr);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
}

#[test]
fn a_run_without_shards_is_refused() {
    refused(&Place::new(), &[], 2, &["no training shards are given", "--shards"]);
}

#[test]
fn a_pattern_without_matches_is_refused() {
    refused(&Place::new(), &["--shards", "x-<000..003>.tar"], 1, &["x-000.tar"]);
}

#[test]
fn a_gap_in_the_numbers_of_shards_is_refused() {
    let place = Place::new();
    place.shards("x", 5, 2);
    fs::remove_file(place.path("x-003.tar")).unwrap();
    refused(&place, &["--shards", "x-<000..004>.tar"], 1, &["x-003.tar"]);
}

#[test]
fn a_folder_in_the_place_of_shards_is_refused() {
    let place = Place::new();
    place.shards("x", 2, 2);
    let folder = place.path("");
    refused(&place, &["--shards", folder.to_str().unwrap()], 1, &["folder"]);
}

#[test]
fn a_file_that_is_not_a_tar_is_refused() {
    let place = Place::new();
    fs::write(place.path("notes.tar"), "hello ".repeat(1000)).unwrap();
    refused(&place, &["--shards", "notes.tar"], 1, &["notes.tar", "tar"]);
}

#[test]
fn a_tar_without_images_is_refused() {
    let place = Place::new();
    let mut writer = shards::ShardWriter::create(place.path("texts.tar")).unwrap();
    writer.append("a", &[("txt", b"hello")]).unwrap();
    writer.finish().unwrap();
    refused(&place, &["--shards", "texts.tar"], 1, &["image"]);
}

#[test]
fn labels_that_are_not_class_numbers_are_refused() {
    let place = Place::new();
    for (name, label) in [("negative", "-7"), ("text", "cat"), ("huge", "4000000000")] {
        let entry = Entry { key: "a".to_owned(), image: jpeg(1), label: Some(label.to_owned()) };
        place.write(&format!("{name}.tar"), [entry]);
        refused(&place, &["--shards", &format!("{name}.tar")], 1, &["label", label]);
    }
}

#[test]
fn validation_labels_beyond_those_of_training_are_refused() {
    let place = Place::new();
    place.shards("x", 1, 20);
    place.write("val.tar", [Entry { key: "a".to_owned(), image: jpeg(1), label: Some("9".to_owned()) }]);
    refused(&place, &["--shards", "x-000.tar", "--val-shards", "val.tar"], 1, &["label 9", "0 to 2"]);
}

#[test]
fn a_run_folder_that_cannot_be_written_is_refused() {
    let place = Place::new();
    place.shards("x", 1, 20);
    fs::write(place.path("file"), "").unwrap();
    refused(&place, &["--shards", "x-000.tar", "--out", "file/run"], 2, &["file/run", "--out"]);
}

#[test]
fn a_gpu_that_does_not_exist_is_refused() {
    if Path::new("/dev/nvidiactl").exists() {
        return; // the machine has a GPU
    }
    let place = Place::new();
    place.shards("x", 1, 20);
    refused(&place, &["--shards", "x-000.tar", "--device", "cuda"], 2, &["NVIDIA driver", "--device cpu"]);
}

#[test]
fn a_batch_larger_than_the_set_is_refused() {
    let place = Place::new();
    place.shards("x", 1, 20);
    refused(&place, &["--shards", "x-000.tar", "--batch-size", "64"], 2, &["64", "20", "--batch-size"]);
}

#[test]
fn embeddings_narrower_than_the_trunk_are_refused() {
    let place = Place::new();
    place.shards("x", 1, 20);
    refused(&place, &["--shards", "x-000.tar", "--ndf", "64", "--n-rkhs", "256"], 2, &["n_rkhs", "512"]);
}

#[test]
fn a_checkpoint_that_does_not_exist_is_refused() {
    let place = Place::new();
    refused(&place, &["eval", "linear", "--checkpoint", "nowhere"], 2, &["no checkpoint in `nowhere`"]);
}

#[test]
fn a_checkpoint_of_another_version_is_skipped_with_the_version_to_use_as_hint() {
    let place = Place::new();
    let folder = place.path("old/checkpoints/step-00000001");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("state.json"), r#"{"checksum": "", "content": {"version": 1}}"#).unwrap();
    let parts = [
        "skipping a checkpoint: ",
        "state.json has format 1",
        "\n  hint: use the version of the program that wrote it, or name another folder with --out\n",
        "no checkpoint in `old/checkpoints` can be read",
    ];
    refused(&place, &["export", "--checkpoint", "old", "--out", "x.safetensors"], 1, &parts);
}

#[test]
fn a_file_in_the_place_of_a_run_is_refused_with_what_to_do_with_it() {
    let place = Place::new();
    for (file, part) in [
        ("enc.safetensors", "amdim-stream import enc.safetensors --out"),
        ("published.pth", "amdim-stream import published.pth --out"),
        ("notes.txt", "not a run folder"),
        (
            "run/checkpoints/step-00000001/model.safetensors",
            "name its folder, `run/checkpoints/step-00000001`",
        ),
        ("run/checkpoints", "name the run folder, `run`"),
    ] {
        if file.starts_with("run") {
            fs::create_dir_all(place.path("run/checkpoints/step-00000001")).unwrap();
            fs::write(place.path("run/checkpoints/step-00000001/state.json"), "").unwrap();
        }
        if !place.path(file).exists() {
            fs::write(place.path(file), "").unwrap();
        }
        refused(&place, &["export", "--checkpoint", file, "--out", "x.safetensors"], 2, &[part]);
    }
    refused(&place, &["import", "run", "--out", "x"], 2, &["`run` is a folder", "--checkpoint"]);
}

#[test]
fn flags_of_other_programs_and_numbers_out_of_bounds_are_refused_with_a_tip() {
    let place = Place::new();
    let train = ["train", "--shards", "x.tar", "--epochs", "3"];
    refused(&place, &train, 2, &["training needs no subcommand", "amdim-stream --shards x.tar --epochs 3"]);
    for (flags, part) in [
        ("--workers 100000", "'--workers <N>': not a whole number from 1 to 1024"),
        ("--keep 0", "'--keep <N>': not a whole number from 1 to"),
        ("--tclip 1e-320", "'--tclip <X>': not a number from 0.000001 to 1000000"),
        ("--data x", "tip: in this program the flag is --shards"),
        ("plan --gpus 2", "tip: one process works on one device: --device cuda:0"),
        ("eval knn --checkpoint run --ckpt x", "tip: in this program the flag is --checkpoint"),
        ("synth --out x --side 32 --count 1e3", "'--count <N>': not a whole number from 1 to 1000000000"),
    ] {
        let said = run(program().args(flags.split(' ')));
        assert!(said.code == Some(2) && said.stderr.contains(part), "{flags}: {}", said.stderr);
    }
    fs::write(place.path("c.toml"), "[optim]\neps = 1e-300\n").unwrap();
    refused(&place, &["--config", "c.toml"], 2, &["`optim.eps` is", "hint: write a number from 1e-15"]);
}

#[test]
fn a_configuration_with_an_unknown_key_or_a_wrong_value_is_refused() {
    let place = Place::new();
    let mut command = program();
    fs::write(place.path("c.toml"), "[encoder]\nn_rkhz = 5\n").unwrap();
    let said = run(command.arg("--config").arg(place.path("c.toml")));
    assert_eq!(said.code, Some(2));
    for part in ["c.toml`, line 2", "`encoder.n_rkhz`", "the nearest setting is `encoder.n_rkhs`"] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    fs::write(place.path("c.toml"), "preset = 'imagenet'\n").unwrap();
    let said = run(program().arg("--config").arg(place.path("c.toml")));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("imagenet"), "{}", said.stderr);
    let said = run(program().args(["--preset", "c100"]));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("c10"), "{}", said.stderr);
}

#[test]
fn show_draws_a_sample_and_its_views_and_describes_them() {
    let place = Place::new();
    let pattern = place.shards("x", 2, 3);
    let out = place.path("views.png");
    let show = |key: &str| {
        let mut command = program();
        command.args(["show", "--preset", "c10", "--shards", &pattern, "--sample", key, "--force", "--out"]);
        command.arg(&out);
        command
    };
    let said = succeed(&mut show("00004"));
    let drawn: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((drawn["key"].as_str(), drawn["index"].as_u64()), (Some("00004"), Some(4)));
    assert_eq!(drawn["views"].as_array().unwrap().len(), 2);
    let picture = image::open(&out).unwrap();
    let (width, height) = (drawn["width"].as_u64().unwrap(), drawn["height"].as_u64().unwrap());
    // Two views of 32 pixels are to the right of the image, with a gap.
    assert_eq!(u64::from(picture.width()), width + 4 + 32);
    assert_eq!(u64::from(picture.height()), height.max(68));
    let wrong = run(&mut show("no-such-key"));
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("no-such-key") && wrong.stderr.contains("e.g. `00000`"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn the_version_names_commit_libtorch_and_simd_and_the_help_fits_the_terminal() {
    let said = |arguments: &[&str], columns: Option<&str>| {
        let mut command = program();
        command.args(arguments).env_remove("COLUMNS");
        columns.map(|columns| command.env("COLUMNS", columns));
        succeed(&mut command).stdout
    };
    let version = said(&["--version"], None);
    for part in [env!("CARGO_PKG_VERSION"), "(commit ", "\nlibtorch 2.11", "\nSIMD: "] {
        assert!(version.contains(part), "no `{part}` in {version}");
    }
    for (columns, most) in [(None, 80), (Some("60"), 60), (Some("110"), 110)] {
        let help = said(&["--help"], columns);
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= most && widest > most - 15, "{widest} of {most} columns:\n{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell], None).contains("checkpoint-every"), "{shell}");
    }
    assert!(said(&["man"], None).contains(".TH amdim-stream 1"));
    let place = Place::new();
    said(&["man", "--out", place.path("man").to_str().unwrap()], None);
    assert!(place.path("man/amdim-stream-eval-linear.1").exists());
}
