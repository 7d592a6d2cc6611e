//! Servers that fail while a run reads from them.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use store_server::Fault;

use super::served::Served;
use crate::support::{lines, run, start_until, succeed, tensors};

/// Few samples fit into the cache, so that the run reads from the server to its end.
fn settings(served: &Served, steps: &str) -> [String; 8] {
    let limit = format!("{}B", served.bytes() * 6 / 10);
    let all =
        ["--steps", steps, "--shuffle", "window:32", "--checkpoint-every", "20", "--cache-limit", &limit];
    all.map(str::to_owned)
}

#[test]
fn a_server_that_is_gone_for_a_while_is_waited_for() {
    let served = Served::new(2, 650);
    let settings = settings(&served, "60");
    let more: Vec<&str> = settings.iter().map(String::as_str).collect();
    succeed(&mut served.train("file", "file", &more));
    served.server.set_delay(Duration::from_millis(20));
    let mut child = start_until(&mut served.train("s3", "s3", &more), &served.place.path("s3"), 5);
    served.server.stop();
    thread::sleep(Duration::from_secs(2));
    served.server.start_again().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(tensors(&served.place.path("s3"), 60) == tensors(&served.place.path("file"), 60));
}

#[test]
fn a_server_that_stays_away_ends_the_run_in_order_and_the_same_command_goes_on() {
    let served = Served::new(2, 650);
    let settings = settings(&served, "60");
    let mut more: Vec<&str> = settings.iter().map(String::as_str).collect();
    more.extend(["--remote-patience", "2s"]);
    succeed(&mut served.train("file", "file", &more));
    served.server.set_delay(Duration::from_millis(20));
    let out = served.place.path("s3");
    let mut command = served.train("s3", "s3", &more);
    let log = fs::File::create(served.place.path("log")).unwrap();
    let mut child = command.stderr(log).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(100);
    while !out.join("metrics.jsonl").exists() || lines(&out.join("metrics.jsonl")).len() < 5 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    served.server.stop();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(served.place.path("log")).unwrap();
    assert!(
        said.contains("cannot read `s3://bucket/train-00") && said.contains("--remote-patience"),
        "{said}"
    );
    assert!(said.contains("saved"), "{said}");
    let last = lines(&out.join("metrics.jsonl")).last().unwrap()["step"].as_u64().unwrap();
    let saved = fs::read_dir(out.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let saved = saved.filter_map(|name| name.to_str()?.strip_prefix("step-")?.parse::<u64>().ok()).max();
    assert!(saved.unwrap() >= last, "the last step is saved: {saved:?}, {last}\n{said}");
    assert_eq!(lines(&out.join("bad-samples.jsonl")).len(), 0, "an outage is no damage");
    served.server.start_again().unwrap();
    succeed(&mut served.train("s3", "s3", &more));
    assert!(tensors(&out, 60) == tensors(&served.place.path("file"), 60));
}

#[test]
fn refused_credentials_in_the_middle_end_the_run_in_order() {
    let served = Served::new(2, 650);
    let settings = settings(&served, "60");
    let more: Vec<&str> = settings.iter().map(String::as_str).collect();
    served.server.set_delay(Duration::from_millis(20));
    let out = served.place.path("s3");
    let mut child = start_until(&mut served.train("s3", "s3", &more), &out, 5);
    served.server.require_authorization(true);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(fs::read_dir(out.join("checkpoints")).unwrap().count() > 0);
    served.server.require_authorization(false);
    succeed(&mut served.train("s3", "s3", &more));
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_server() {
    let served = Served::new(2, 650);
    let settings = settings(&served, "60");
    let more: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut child = start_until(&mut served.train("s3", "s3", &more), &served.place.path("s3"), 5);
    let stall = || vec![Fault::Stall { after: 1, how_long: Duration::from_secs(600) }];
    served.server.set_script(move |asked| if asked.range.is_some() { stall() } else { Vec::new() });
    thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    child.wait().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn a_replaced_shard_ends_in_bad_samples_that_are_named() {
    let served = Served::new(2, 650);
    let settings = settings(&served, "400");
    let mut more: Vec<&str> = settings.iter().map(String::as_str).collect();
    more.extend(["--max-bad", "100000"]);
    served.server.set_delay(Duration::from_millis(20));
    let out = served.place.path("s3");
    let mut child = start_until(&mut served.train("s3", "s3", &more), &out, 5);
    let path = served.place.path("bucket/train-001.tar");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).unwrap();
    assert!(child.wait().unwrap().success());
    let bad = lines(&out.join("bad-samples.jsonl"));
    assert!(!bad.is_empty());
    for sample in bad {
        assert!(sample["shard"].as_str().unwrap().ends_with("train-001.tar"), "{sample}");
        assert!(sample.to_string().contains("replaced"), "{sample}");
    }
    let said = run(&mut served.train("s3", "s3", &["--steps", "401"]));
    assert_ne!(said.code, Some(0), "the shards have changed");
}
