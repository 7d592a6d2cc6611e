//! Pictures, samples and fixtures for the tests.
#![allow(dead_code, reason = "not every test binary uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between binaries")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use pipeline::{Rgb, encode_jpeg};
use serde_json::Value;
use shards::{Position, Sample};

/// Reads all files of kind `amdim_augment` in `tests/fixtures`, or in the folder `AMDIM_FIXTURES`. Only the
/// project's own folder must have some.
pub(crate) fn fixtures() -> Vec<(Value, Vec<u8>)> {
    let named = env::var_os("AMDIM_FIXTURES");
    let is_own = named.is_none();
    let folder =
        named.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures"), PathBuf::from);
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let facts: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if facts["kind"] == "amdim_augment" {
            found.push((facts, fs::read(path.with_extension("safetensors")).unwrap()));
        }
    }
    assert!(!is_own || !found.is_empty(), "no augment fixture in {}", folder.display());
    found
}

/// Makes a smooth picture; each `phase` gives another one.
pub(crate) fn picture(width: u32, height: u32, phase: u32) -> Rgb {
    let mut image = Rgb::black(width, height);
    for (i, value) in image.pixels.iter_mut().enumerate() {
        let (x, y, c) = (i as u32 / 3 % width, i as u32 / 3 / width, i as u32 % 3);
        *value = ((x * (3 + c) + y * (5 - c) + phase * 17) % 256) as u8;
    }
    image
}

/// Makes sample `index` of an endless set of JPEGs of different sizes and costs.
pub(crate) fn sample(index: u64) -> Sample {
    let side = 20 + (index * 37 % 11) as u32 * 25;
    Sample {
        shard: format!("train-{:03}.tar", index / 10).into(),
        key: format!("{index:05}"),
        offset: 512 + 1024 * index,
        index,
        epoch: 0,
        image: encode_jpeg(&picture(side + 7, side, index as u32), 90).unwrap().into(),
        label: (!index.is_multiple_of(5)).then_some(index as u32 % 10),
        next: Position { epoch: 0, offset: index + 1 },
    }
}

/// Makes a sample that is cut in half.
pub(crate) fn damaged(index: u64) -> Sample {
    let whole = sample(index);
    let half = whole.image.read(|bytes| bytes[..bytes.len() / 2].to_vec()).unwrap();
    Sample { image: half.into(), ..whole }
}
