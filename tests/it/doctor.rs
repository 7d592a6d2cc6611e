//! `doctor` on this machine and on simulated ones.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{Place, Said, program, run, succeed};

/// Returns the object of a check in the output.
fn check(said: &Said, name: &str) -> Value {
    let lines = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = lines.filter(|line| line["check"] == name);
    let check = found.next().unwrap_or_else(|| panic!("no `{name}` in {}", said.stdout));
    assert!(found.next().is_none(), "`{name}` twice in {}", said.stdout);
    check
}

fn doctor(out: &Path) -> Command {
    let mut command = program();
    command.args(["doctor", "--device", "cpu", "--out"]).arg(out);
    command
}

const CHECKS: [&str; 16] = [
    "versions",
    "driver",
    "gpu-memory",
    "pinned-memory",
    "cpu",
    "threads",
    "memory",
    "memlock",
    "files",
    "limits",
    "disk",
    "inodes",
    "write",
    "lock",
    "links",
    "clock",
];

#[test]
fn every_check_is_made_and_none_is_bad_on_a_machine_that_trains() {
    let place = Place::new();
    let said = succeed(&mut doctor(&place.path("deep/run")));
    for name in CHECKS {
        let check = check(&said, name);
        assert_ne!(check["state"], "bad", "{check}");
        assert!(
            said.stderr.contains(&format!("{name} {}: ", check["state"].as_str().unwrap())),
            "{}",
            said.stderr
        );
        assert_eq!(check["hint"].is_null(), check["state"] == "ok", "a warning has a hint: {check}");
    }
    assert_eq!(said.stdout.lines().count(), CHECKS.len());
    assert!(
        check(&said, "versions")["found"].as_str().unwrap().contains("libtorch 2.11.0"),
        "{}",
        said.stdout
    );
    assert!(!place.path("deep").exists(), "the created folders are removed");
}

#[test]
fn a_file_in_the_place_of_the_run_folder_is_bad_and_has_a_hint() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    for out in ["file", "file/run"] {
        let said = run(&mut doctor(&place.path(out)));
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        let write = check(&said, "write");
        assert_eq!(write["state"], "bad", "{write}");
        assert!(write["hint"].as_str().unwrap().contains("--out"), "{write}");
        assert!(said.stderr.contains("1 of 16 checks are bad: write"), "{}", said.stderr);
    }
    assert!(fs::read(place.path("file")).unwrap().is_empty());
}

#[test]
fn a_low_limit_of_open_files_is_bad_and_odd_threads_are_a_warning() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_amdim-stream");
    let mut shell = Command::new("sh");
    let line = r#"ulimit -Sn 16; exec "$0" doctor --device cpu --out "$1""#;
    shell
        .args(["-c", line, program])
        .arg(place.path("run"))
        .env("OMP_NUM_THREADS", "many")
        .env_remove("RUST_LOG");
    let said = run(&mut shell);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert_eq!(check(&said, "files")["state"], "bad");
    assert!(check(&said, "files")["hint"].as_str().unwrap().contains("ulimit -n "), "{}", said.stdout);
    assert_eq!(check(&said, "threads")["state"], "warn");
}

#[test]
fn a_chosen_gpu_that_does_not_exist_is_bad() {
    if Path::new("/dev/nvidiactl").exists() {
        return; // the machine has a GPU
    }
    let place = Place::new();
    let said = run(program().args(["doctor", "--device", "cuda", "--out"]).arg(place.path("run")));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let driver = check(&said, "driver");
    assert_eq!(driver["state"], "bad", "{driver}");
    assert!(driver["hint"].as_str().unwrap().contains("--device cpu"), "{driver}");
}

/// Compiles the stand-in of the driver and adds the stand-in of libtorch's CUDA half, which reports three
/// GPUs. Returns a function that runs the program with both.
fn three_gpus(place: &Place) -> impl Fn(&[&str]) -> Said {
    let folder = place.path("gpus");
    fs::create_dir(&folder).unwrap();
    fs::copy(env!("AMDIM_FAKE_CUDA"), folder.join("libtorch_cuda.so")).unwrap();
    let (source, library) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/driver.c"), folder.join("driver.so"));
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl");
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cache = place.path("cache");
    move |words| {
        let mut command = program();
        command.args(words).env("LD_LIBRARY_PATH", &folder).env("LD_PRELOAD", &library);
        run(command.env("AMDIM_STREAM_CACHE", &cache))
    }
}

/// libtorch looks for its CUDA half when it is first asked about GPUs, and remembers if it was missing.
#[test]
fn no_command_asks_libtorch_about_gpus_before_its_cuda_half_is_loaded() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "1"]));
    let on_three_gpus = three_gpus(&place);
    let [trained, new] = ["run", "new"].map(|name| place.path(name).display().to_string());
    let commands: [&[&str]; 6] = [
        &["doctor", "--out", &new],
        &["--shards", &pattern, "--preset", "c10", "--out", &new],
        &["--shards", &pattern, "--out", &trained, "--preset", "c10"],
        &["plan", "--shards", &pattern, "--preset", "c10", "--out", &new],
        &["eval", "knn", "--checkpoint", &trained, "--val-shards", &pattern],
        &["embed", "--checkpoint", &trained, "--shards", &pattern, "--out", &new],
    ];
    for words in commands {
        let said = on_three_gpus(&[words, &["--device", "cuda:7"]].concat());
        assert!(said.stderr.contains("there are 3 GPUs, `cuda:0` to `cuda:2`"), "{words:?}: {}", said.stderr);
    }
}
