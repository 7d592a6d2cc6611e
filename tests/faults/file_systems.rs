//! File systems that lack something: folders that cannot be synced, symbolic links.

use std::{fs, process::Command};

use crate::{
    shim::{EINVAL, EIO, ENOSPC, EOPNOTSUPP, EPERM, Failing, Shim},
    support::{Place, jpeg, program},
    watched::Ended,
};

/// A run with its best checkpoint and a promotion, a folder packed, a set cleaned: everything that syncs
/// folders.
fn commands(place: &Place, pattern: &str, out: &str) -> [Command; 3] {
    let mut train = place.train(pattern, &format!("{out}/run"), &["--steps", "2", "--best", "linear"]);
    train.args(["--val-shards", pattern, "--promote"]).arg(place.path(&format!("{out}/models")));
    let mut pack = program();
    pack.arg("pack").arg(place.path("images")).arg("--out").arg(place.path(&format!("{out}/packed")));
    let mut verify = program();
    verify.args(["verify", "--shards", pattern, "--fix"]).arg(place.path(&format!("{out}/clean")));
    verify.env("AMDIM_STREAM_CACHE", place.path("cache"));
    [train, pack, verify]
}

fn place() -> (Place, String) {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    fs::create_dir_all(place.path("images/cat")).unwrap();
    fs::write(place.path("images/cat/a.jpg"), jpeg(1)).unwrap();
    (place, pattern)
}

#[test]
fn where_folders_cannot_be_synced_everything_works_and_where_syncing_fails_it_does_not() {
    let ((place, pattern), shim) = (place(), Shim::new());
    for (errno, works) in [(EINVAL, true), (EOPNOTSUPP, true), (EIO, false)] {
        for mut command in commands(&place, &pattern, &format!("out-{errno}")) {
            let failing = Failing { calls: "fsync-folder", files: "", errno, first: 1, every: 1 };
            let ended = Ended::of(shim.on(&mut command, failing));
            assert!(!shim.failed().0.is_empty(), "{command:?} syncs no folder");
            if works {
                ended.assert_done();
            } else {
                ended.assert_refused();
            }
        }
    }
    // Files are another matter.
    let mut train = place.train(&pattern, "strict", &["--steps", "1"]);
    let failing = Failing { calls: "fsync", files: "safetensors", errno: EINVAL, first: 1, every: 1 };
    Ended::of(shim.on(&mut train, failing)).assert_refused();
}

#[test]
fn a_disk_that_is_full_is_named_with_its_cure_and_nothing_half_written_stays() {
    let ((place, pattern), shim) = (place(), Shim::new());
    Ended::of(&mut place.train(&pattern, "run", &["--steps", "1"])).assert_done();
    let of_run = |words: &[&str]| {
        let mut command = program();
        command.args(words).current_dir(place.path("")).env("AMDIM_STREAM_CACHE", place.path("cache"));
        command
    };
    let embed = |format| {
        [
            "embed",
            "--checkpoint",
            "run",
            "--shards",
            "train-000.tar",
            "--device",
            "cpu",
            "--out",
            "full",
            "--format",
            format,
        ]
    };
    let [_, pack, clean] = commands(&place, &pattern, "full");
    let synth = of_run(&["synth", "--out", "full", "--count", "20", "--side", "32"]);
    let export = of_run(&["export", "--checkpoint", "run", "--out", "full/x.safetensors"]);
    let pth = of_run(&["export", "--checkpoint", "run", "--out", "full/x.pth"]);
    for mut command in [of_run(&embed("parquet")), of_run(&embed("npy")), export, pth, pack, clean, synth] {
        fs::create_dir_all(place.path("full")).unwrap();
        let failing = Failing { calls: "write", files: "/full", errno: ENOSPC, first: 1, every: 1 };
        let ended = Ended::of(shim.on(&mut command, failing));
        ended.assert_refused();
        let told = ["No space left", "hint: "].iter().all(|part| ended.stderr.contains(part));
        let hint = ended.stderr.split("hint: ").nth(1).unwrap_or_default();
        let has_cure = hint.contains("space") || hint.contains("room");
        assert!(told && has_cure && !ended.stderr.contains("External"), "{command:?}: {}", ended.stderr);
        let mut left = vec![place.path("full")];
        while let Some(path) = left.pop() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!name.contains("partial") && !name.contains(".tmp"), "{command:?} leaves {name}");
            left.extend(fs::read_dir(&path).into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        fs::remove_dir_all(place.path("full")).unwrap();
    }
}

#[test]
fn a_file_system_without_symbolic_links_is_told_before_the_first_step() {
    let ((place, pattern), shim) = (place(), Shim::new());
    let failing = Failing { calls: "symlink", files: "", errno: EPERM, first: 1, every: 1 };
    let mut doctor = program();
    doctor.args(["doctor", "--device", "cpu", "--out"]).arg(place.path("run"));
    let said = Ended::of(shim.on(&mut doctor, failing)).stderr;
    assert!(said.contains("no symbolic links here") && said.contains("--best"), "{said}");
    let validated = ["--steps", "1", "--val-shards", &pattern];
    let best = || place.train(&pattern, "run", &[&validated[..], &["--best", "linear"]].concat());
    let promote = || {
        let mut command = place.train(&pattern, "run", &validated);
        command.arg("--promote").arg(place.path("models"));
        command
    };
    for (mut command, flag) in [(best(), "--best"), (promote(), "--promote")] {
        let ended = Ended::of(shim.on(&mut command, failing));
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("symbolic links") && ended.stderr.contains(flag), "{}", ended.stderr);
        assert!(!place.path("run/checkpoints").exists() && !place.path("models/latest").exists());
    }
    Ended::of(shim.on(&mut place.train(&pattern, "run", &validated), failing)).assert_done();
}
