//! `doctor` in several processes.

use std::{fs, process::Command};

use serde_json::Value;

use super::ranks::{lead_of, together};
use crate::support::{Place, Said, program};

/// The checks of all processes together.
const TOGETHER: [&str; 6] = ["processes", "programs", "clocks", "latency", "bandwidth", "shared-folder"];

fn doctor(out: &str) -> Command {
    let mut command = program();
    command.args(["doctor", "--device", "cpu", "--out", out]);
    command
}

fn checks(said: &Said) -> Vec<Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_lead_prints_its_checks_and_those_of_all_processes_together() {
    let place = Place::new();
    let out = place.path("deep/run").display().to_string();
    let one: Vec<_> =
        checks(&lead_of(1, 0, || doctor(&out))).iter().map(|check| check["check"].clone()).collect();
    let said = lead_of(3, 0, || doctor(&out));
    let three = checks(&said);
    let names: Vec<_> = three.iter().map(|check| check["check"].clone()).collect();
    assert_eq!(names[..one.len()], one);
    assert_eq!(names[one.len()..], TOGETHER);
    let found = |name: &str| three.iter().find(|check| check["check"] == name).unwrap();
    for name in ["processes", "programs", "clocks", "shared-folder"] {
        assert_eq!(found(name)["state"], "ok", "{}", found(name));
    }
    for name in ["latency", "bandwidth"] {
        assert_ne!(found(name)["state"], "bad", "a slow network is no mistake: {}", found(name));
    }
    let text = |name: &str| found(name)["found"].as_str().unwrap().to_owned();
    assert!(text("processes").starts_with("3: 3 on "), "{}", text("processes"));
    assert!(text("programs").contains("libtorch 2.11.0"), "{}", text("programs"));
    assert!(text("clocks").ends_with("1 s is tolerated"), "{}", text("clocks"));
    assert!(text("bandwidth").starts_with("32.00 MB are averaged"), "{}", text("bandwidth"));
    assert!(!place.path("deep").exists(), "the created folders are removed");
}

#[test]
fn what_is_bad_for_another_process_is_printed_with_its_rank() {
    let place = Place::new();
    let said = together(2, |rank| {
        let folder = place.path(&format!("machine-{rank}"));
        fs::create_dir(&folder).unwrap();
        if rank == 1 {
            fs::write(folder.join("runs"), "a file").unwrap();
        }
        let mut command = doctor("runs");
        command.current_dir(folder);
        command
    });
    assert_eq!((said[0].code, said[1].code), (Some(1), Some(1)), "{said:?}");
    let all = checks(&said[0]);
    let bad: Vec<_> = all.iter().filter(|check| check["state"] == "bad").collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!((&bad[0]["check"], &bad[0]["rank"]), (&"write".into(), &1.into()));
    assert!(bad[0]["found"].as_str().unwrap().starts_with("rank 1 (process "), "{}", bad[0]);
    assert!(said[0].stderr.contains("checks are bad: write of rank 1"), "{}", said[0].stderr);
    let folder = all.iter().find(|check| check["check"] == "shared-folder").unwrap();
    assert_eq!(folder["state"], "warn");
    assert!(folder["found"].as_str().unwrap().contains("does not see what rank 0 writes"), "{folder}");
}
