//! The way from a folder of images to an encoder: the commands in the README, and file names with unusual
//! characters.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::Value;

use crate::support::{Place, jpeg, lines, program, run, succeed};

/// Returns the README's commands for the user's own images, without their comments.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = readme.split("## Your own images\n").nth(1).unwrap();
    let code = section.lines().skip_while(|line| line.is_empty()).take_while(|line| line.starts_with("    "));
    code.map(|line| line.split(" #").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn the_commands_of_the_readme_make_an_encoder_of_a_folder_of_images() {
    let place = Place::new();
    symlink(env!("CARGO_BIN_EXE_amdim-stream"), place.path("amdim-stream")).unwrap();
    for number in 0..24 {
        let class = place.path("IMAGES").join(["cat", "dog"][number % 2]);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{number}.jpg")), jpeg(number)).unwrap();
    }
    let small = "--ndf 4 --n-rkhs 32 --n-depth 1 --batch-size 8 --steps 2 --device cpu";
    let more = ["", small, "--epochs 1 --device cpu", ""];
    let commands = commands();
    assert_eq!(commands.len(), more.len(), "{commands:?}");
    for (command, more) in commands.iter().zip(more) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("PATH=.:$PATH {command} {more}")]).current_dir(place.path("."));
        succeed(shell.env("AMDIM_STREAM_CACHE", place.path("cache")).env_remove("RUST_LOG"));
    }
    assert!(place.path("encoder.safetensors").exists());
    // A second export does not replace the file.
    let said = run(program()
        .args(["export", "--checkpoint"])
        .arg(place.path("runs/amdim-in128"))
        .arg("--out")
        .arg(place.path("encoder.safetensors")));
    assert!(said.code == Some(2) && said.stderr.contains("--force"), "{}", said.stderr);
}

#[test]
fn file_names_with_unusual_characters_are_read_back_from_every_output() {
    const ODD: &str = "cat/ä \"q\" \\ a\nb\tc";
    const BAD: &str = "cat/bad\n\"\t";
    let place = Place::new();
    for (name, image) in
        [(ODD, jpeg(1)), (BAD, jpeg(2)[..200].to_vec()), ("dog/1", jpeg(3)), ("dog/2", jpeg(4))]
    {
        let path = place.path("images").join(format!("{name}.jpg"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, image).unwrap();
    }
    let command = |words: &[&str]| {
        let mut command = program();
        command.args(words).current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
        command
    };
    succeed(&mut command(&["pack", "images", "--out", "data"]));
    let shard = place.path("data/train-000.tar");
    let pattern = shard.to_str().unwrap();
    let model = ["--preset", "c10", "--ndf", "4", "--n-rkhs", "16", "--n-depth", "1", "--device", "cpu"];
    let length = ["--batch-size", "2", "--steps", "4", "--max-bad", "3", "--shards", pattern, "--out", "run"];
    succeed(&mut command(&[&model[..], &length].concat()));
    let has = |file: &str, key: &str| {
        let found = lines(&place.path(file)).iter().any(|line| line["key"] == key);
        assert!(found, "{file} has no {key:?}");
    };
    has("run/bad-samples.jsonl", BAD);
    assert_eq!(
        run(&mut command(&["verify", "--shards", pattern, "--report", "findings.jsonl"])).code,
        Some(1)
    );
    has("findings.jsonl", BAD);
    let embed = [
        "embed",
        "--checkpoint",
        "run",
        "--shards",
        pattern,
        "--device",
        "cpu",
        "--format",
        "npy",
        "--out",
        "npy",
    ];
    let said: Value = serde_json::from_str(&succeed(&mut command(&embed)).stdout).unwrap();
    assert!(said["left_out"] == 1 && said["first_left_out"]["key"] == BAD, "{said}");
    has("npy/00000-train-000.left-out.jsonl", BAD);
    let text = fs::read_to_string(place.path("npy/00000-train-000.tsv")).unwrap();
    let keys = text.lines().map(|line| line.split_once('\t').unwrap().0);
    let keys: Vec<String> =
        keys.map(|key| serde_json::from_str(key).unwrap_or_else(|_| key.to_owned())).collect();
    assert!(keys.len() == 3 && keys.iter().any(|key| key == ODD), "{text}");
    let said = succeed(&mut command(&["show", "--run", "run", "--sample", ODD, "-o", "views.jpg"]));
    assert_eq!(serde_json::from_str::<Value>(&said.stdout).unwrap()["key"], ODD);
    assert!(image::open(place.path("views.jpg")).is_ok());
}

#[test]
fn a_folder_with_files_of_the_user_is_not_used_for_runs_or_shards() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    fs::create_dir(place.path("mine")).unwrap();
    let config = "preset = \"c10\"\n";
    fs::write(place.path("mine/config.toml"), config).unwrap();
    let mine = place.path("mine");
    let with_config =
        place.train(&pattern, "mine", &["--steps", "1", "--config"]).arg(mine.join("config.toml")).output();
    let refused = |output: std::process::Output| {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && stderr.contains("`config.toml`"), "{stderr}");
        assert_eq!(fs::read_to_string(mine.join("config.toml")).unwrap(), config);
        assert_eq!(fs::read_dir(&mine).unwrap().count(), 1);
    };
    refused(with_config.unwrap());
    refused(program().args(["synth", "--side", "8", "--count", "10", "--out"]).arg(&mine).output().unwrap());
    refused(program().args(["verify", "--shards", &pattern, "--fix"]).arg(&mine).output().unwrap());
    // A run may begin in a folder that contains only a log, as written by `> mine/train.log`.
    fs::create_dir(place.path("logged")).unwrap();
    fs::write(place.path("logged/train.log"), "").unwrap();
    succeed(&mut place.train(&pattern, "logged", &["--steps", "1"]));
}
