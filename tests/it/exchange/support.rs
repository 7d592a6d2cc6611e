//! Exports, the program in a place, and Python.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use safetensors::SafeTensors;

use crate::support::{self, Place, program, succeed};

/// Runs `tests/python/exchange.py` in the Python that `tools/python.sh` sets up. Returns its output.
pub(super) fn python(arguments: &[&str]) -> String {
    support::python("exchange.py", arguments)
}

/// Trains a run of a few steps in `run`. Returns its place and the pattern of its shards.
pub(super) fn trained(more: &[&str]) -> (Place, String) {
    let place = Place::new();
    let pattern = place.shards("train", 2, 20);
    let mut steps = vec!["--steps", "3"];
    steps.extend(more);
    succeed(&mut place.train(&pattern, "run", &steps));
    (place, pattern)
}

pub(super) fn command(place: &Place, words: &[&str]) -> Command {
    let mut command = program();
    command.args(words).current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

pub(super) fn stored(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors.map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect()
}
