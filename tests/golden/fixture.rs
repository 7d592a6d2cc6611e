//! A case of a folder, with its golden tensors.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// A case: its description and its tensors. Each tensor must be taken once.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) facts: Value,
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) device: Device,
}

impl Fixture {
    /// Reads all cases of a kind, for comparisons on `device`. Panics if the project's own folder has none.
    pub(crate) fn all(kind: &str, device: Device) -> Vec<Self> {
        let (paths, own) = files();
        let cases: Vec<_> = paths
            .iter()
            .map(|path| Self::open(path, device))
            .filter(|case| case.facts["kind"] == kind)
            .collect();
        assert!(!own || !cases.is_empty(), "no `{kind}` in tests/fixtures");
        cases
    }

    fn open(path: &PathBuf, device: Device) -> Self {
        let facts = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let tensors = path.with_extension("safetensors");
        let tensors = if tensors.exists() { Tensor::read_safetensors(tensors).unwrap() } else { Vec::new() };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.to_device(device)));
        Self { name, facts, tensors: tensors.collect(), device }
    }

    /// Takes the tensor of this name, in f64 if it is floating-point.
    pub(crate) fn take(&mut self, name: &str) -> Tensor {
        let tensor = self.tensors.remove(name).unwrap_or_else(|| panic!("{}: no `{name}`", self.name));
        if tensor.is_floating_point() { tensor.to_kind(Kind::Double) } else { tensor }
    }

    /// Takes all tensors whose names begin with `prefix`, and removes the prefix from their names.
    pub(super) fn take_all(&mut self, prefix: &str) -> BTreeMap<String, Tensor> {
        let names: Vec<_> = self.tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        names.into_iter().map(|name| (name[prefix.len()..].to_owned(), self.take(&name))).collect()
    }

    pub(super) fn number(&self, keys: &[&str]) -> f64 {
        let value = keys.iter().fold(&self.facts, |value, key| &value[*key]);
        value.as_f64().unwrap_or_else(|| panic!("{}: no number {keys:?}", self.name))
    }

    pub(super) fn int(&self, keys: &[&str]) -> i64 {
        self.number(keys) as i64
    }

    /// Panics unless the largest difference is within `bound`, in units of `scale`.
    pub(crate) fn close(&self, what: &str, found: &Tensor, golden: &Tensor, scale: f64, bound: f64) {
        assert_eq!(found.size(), golden.size(), "{}: shape of {what}", self.name);
        let difference = (found.to_kind(Kind::Double) - golden.to_kind(Kind::Double)).abs();
        let worst = difference.max().double_value(&[]) / scale.max(1e-30);
        assert!(worst <= bound, "{}: {what} is off by {worst:.2e}, more than {bound:.2e}", self.name);
    }
}

/// Returns the descriptions of all cases, and whether they are the project's own.
pub(crate) fn files() -> (Vec<PathBuf>, bool) {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let (folders, is_own) = match env::var_os("AMDIM_FIXTURES") {
        Some(folder) => (vec![folder.into()], false),
        None => (vec![own.clone(), own.join("methods")], true),
    };
    let mut paths: Vec<_> = folders.iter().flat_map(descriptions).collect();
    paths.sort();
    (paths, is_own)
}

/// Returns the files of a folder that describe cases.
fn descriptions(folder: &PathBuf) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read the fixtures in {}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect()
}

pub(crate) fn absmax(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).abs().max().double_value(&[])
}
