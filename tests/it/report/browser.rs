//! Pages in a browser: no message, no request, no violation of accessibility, nothing too wide or too small, and numbers
//! under the cursor that are those of the records.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use super::support::{made_up, page, records, train, train_hostile};
use crate::support::Place;

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn pages_in_every_state_are_right_in_a_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let node = root.join(".browser");
    if !node.exists() {
        eprintln!("skipped: no browser; `tools/browser.sh` says why and installs one where it can");
        return;
    }
    let place = Place::new();
    let full = train(&place, "full");
    let plain = made_up(&place, "one-record", &full, &records(1, |_| false));
    let broken = made_up(&place, "diverged", &full, &records(60, |step| step > 40 || step % 9 == 0));
    let long = made_up(
        &place,
        "long",
        &full,
        &records(100_000, |_| false).replacen("\"loss\":1", "\"loss\":9991", 1),
    );
    let killed = made_up(&place, "killed", &full, "");
    let hostile = Place::new();
    let hostile = train_hostile(&hostile).canonicalize().map(|folder| (hostile, folder)).unwrap();
    let runs: [(&str, &[&Path], bool); 7] = [
        ("full", &[&full], true),
        ("one-record", &[&plain], true),
        ("diverged", &[&broken], true),
        ("long", &[&long], true),
        ("killed", &[&killed], false),
        ("several", &[&full, &broken, &plain], false),
        ("hostile", &[&hostile.1], false),
    ];
    let pages: Vec<Value> = runs
        .iter()
        .map(|(name, folders, is_read)| {
            let path = place.path(&format!("{name}.html"));
            fs::write(&path, page(folders, 4)).unwrap();
            json!({"name": name, "page": path, "metrics": is_read.then(|| folders[0].join("metrics.jsonl"))})
        })
        .collect();
    let check = root.join("tests/it/report/check.mjs");
    let output = Command::new(node).arg(check).arg(Value::from(pages).to_string()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    assert_eq!(said.lines().count(), runs.len(), "{said}\n{errors}");
    let read: u64 =
        said.lines().filter_map(|line| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok()).sum();
    assert!(read > 250, "{read} numbers under the cursor were compared: {said}");
}
