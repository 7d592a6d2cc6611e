//! Commands give the same for shards on servers as for files.

use std::{fs, process::Command};

use super::served::Served;
use crate::support::{program, run, succeed};

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

#[test]
fn index_writes_what_saves_reading_shards_for_their_index() {
    let served = Served::new(2, 60);
    let out = served.place.path("index");
    let http = served.pattern("http");
    let refused = run(&mut command(&served, &["index", "--shards", &http]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: name a folder with -o"), "{}", refused.stderr);
    let path = out.to_str().unwrap();
    let index = ["index", "--shards", &http, "-o", path];
    let said = succeed(&mut command(&served, &index));
    assert!(
        said.stdout.contains("\"written\":2") && said.stdout.contains("\"present\":0"),
        "{}",
        said.stdout
    );
    let said = succeed(&mut command(&served, &index));
    assert!(
        said.stdout.contains("\"written\":0") && said.stdout.contains("\"present\":2"),
        "{}",
        said.stdout
    );
    // Beside files, it is the same.
    succeed(&mut command(&served, &["index", "--shards", &served.pattern("file")]));
    for shard in ["train-000.tar", "train-001.tar"] {
        let beside = fs::read(served.place.path(&format!("bucket/{shard}.index"))).unwrap();
        assert!(beside == fs::read(out.join(format!("{shard}.index"))).unwrap());
    }
    // A machine that has no cache asks for no byte of a shard before its first sample.
    served.server.forget_requests();
    let mut show = command(&served, &["verify", "--shards", &http]);
    show.env("AMDIM_STREAM_CACHE", served.place.path("another"));
    succeed(&mut show);
    served.server.forget_requests();
    succeed(
        served.train("http", "run", &["--steps", "2"]).env("AMDIM_STREAM_CACHE", served.place.path("third")),
    );
    // Only reading for the index goes to the last byte, which belongs to no sample.
    let whole = |logged: &store_server::Logged| {
        let size = served.place.path(&logged.asked.path).metadata().unwrap().len();
        logged.asked.range.as_ref().is_some_and(|range| range.end == size)
    };
    let asked = served.server.requests();
    let of_index = asked.iter().filter(|logged| logged.asked.path.contains(".tar.index")).count();
    assert_eq!(of_index, 2, "{asked:?}");
    assert!(!asked.iter().any(whole), "no shard is read for its index: {asked:?}");
}

#[test]
fn packed_shards_have_an_index_beside_them() {
    let place = crate::support::Place::new();
    let out = place.path("data");
    let path = out.to_str().unwrap();
    let synth = ["synth", "--out", path, "--side", "32", "--count", "40", "--shards", "2", "--force"];
    for _ in 0..2 {
        succeed(program().args(synth));
        for shard in 0..2 {
            let tar = out.join(format!("train-{shard:03}.tar"));
            let size = tar.metadata().unwrap().len();
            assert!(shards::is_index(&shards::index_path(&tar), size));
        }
    }
    let fewer = ["synth", "--out", path, "--side", "32", "--count", "40", "--shards", "1", "--force"];
    succeed(program().args(fewer));
    assert!(!out.join("train-001.tar.index").exists(), "an index goes with its shard");
}
