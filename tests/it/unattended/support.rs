//! Commands of unattended runs.

use std::process::Command;

use crate::support::{Entry, Place, jpeg};

/// Returns a command for a run of two steps on all `train-*.tar` of the place.
pub(super) fn nightly(place: &Place, more: &[&str]) -> Command {
    let pattern = place.path("train-*.tar").to_str().unwrap().to_owned();
    place.train(&pattern, "run", &[&["--steps", "2", "--if-changed"], more].concat())
}

pub(super) fn add_shard(place: &Place, name: &str) {
    let entry = |number: usize| Entry {
        key: format!("new-{number}"),
        image: jpeg(number),
        label: Some("0".to_owned()),
    };
    place.write(name, (0..20).map(entry));
}

pub(super) fn promote(place: &Place, gates: &[&str]) -> Command {
    let models = place.path("models").to_str().unwrap().to_owned();
    let summary = place.path("summary.json").to_str().unwrap().to_owned();
    let mut command =
        nightly(place, &["--warm-start", "last", "--quiet", "--promote", &models, "--summary", &summary]);
    for gate in gates {
        command.args(["--gate", gate]);
    }
    command
}
