//! Commands give the same for shards on servers as for files.

use std::{fs, process::Command};

use super::served::Served;
use crate::support::{program, succeed};

fn command(served: &Served, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).arg("--cache-dir").arg(served.place.path("parts"));
    command.env("AMDIM_STREAM_CACHE", served.place.path("cache"));
    command
}

#[test]
fn verify_show_embed_and_eval_give_the_same_as_for_files() {
    let served = Served::new(2, 60);
    let [file, http] = ["file", "http"].map(|scheme| served.pattern(scheme));
    let base = http.split("train").next().unwrap().to_owned();
    let as_files = |text: &str| text.replace(&base, &file.replace("train-<000..001>.tar", ""));

    let verified =
        [&file, &http].map(|pattern| succeed(&mut command(&served, &["verify", "--shards", pattern])).stdout);
    assert_eq!(as_files(&verified[1]), verified[0]);

    let drawn = [("file", &file), ("http", &http)].map(|(name, pattern)| {
        let out = served.place.path(&format!("{name}.png"));
        let path = out.to_str().unwrap();
        succeed(&mut command(
            &served,
            &["show", "--shards", pattern, "--sample", "00031", "-o", path, "--preset", "c10"],
        ));
        fs::read(out).unwrap()
    });
    assert!(drawn[0] == drawn[1]);

    succeed(&mut served.train("http", "run", &["--steps", "6"]));
    let run = served.place.path("run");
    let run = run.to_str().unwrap();
    let embedded = [("file", &file), ("http", &http)].map(|(name, pattern)| {
        let out = served.place.path(&format!("{name}-embedded"));
        let path = out.to_str().unwrap();
        let arguments = ["embed", "--checkpoint", run, "--shards", pattern, "--out", path, "--format", "npy"];
        succeed(&mut command(&served, &arguments));
        let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let arrays = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "npy"));
        let arrays: Vec<_> = arrays.map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(arrays.len(), 2, "{files:?}");
        arrays
    });
    assert!(embedded[0] == embedded[1]);

    let evaluated = [&file, &http].map(|pattern| {
        let arguments = ["eval", "knn", "--checkpoint", run, "--shards", pattern, "--val-shards", pattern];
        succeed(&mut command(&served, &arguments)).stdout
    });
    assert_eq!(as_files(&evaluated[1]), evaluated[0]);
}
