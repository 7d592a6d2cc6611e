//! `crash/`: the report on a failed step, and the files needed to repeat it.

use std::{fs, iter, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shards::{Place, Position, Replacements, Samples};

use super::{folder::RunFolder, lock::StepStart};
use crate::{
    config::Config,
    files,
    hint::{self, WithHint},
    metrics::StepNumbers,
};

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Crash {
    /// The event, in words.
    pub(crate) what: String,
    /// The number that the step would have had, and the position before its batch.
    pub(crate) at: StepStart,
    /// The indices of its samples, where they are known.
    pub(crate) indices: Option<Vec<i64>>,
    /// Its loss, parts of the loss, and probe numbers, if it came that far.
    pub(crate) numbers: Option<StepNumbers>,
}

impl Crash {
    /// Describes a step that an error ended.
    pub(crate) fn of_error(at: StepStart, error: &anyhow::Error) -> Self {
        Self { what: hint::causes(error), at, indices: None, numbers: None }
    }
}

/// The contents of `crash.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CrashReport {
    /// The event, in words.
    pub(crate) what: String,
    /// The time of the report.
    pub(crate) time: Timestamp,
    /// The version of the program.
    pub(crate) program: String,
    /// The number that the step would have had.
    pub(crate) step: u64,
    /// The seed of all randomness: the step's derives from (seed, step), augmentation's from (seed, epoch,
    /// index, view).
    pub(crate) seed: u64,
    /// The position before the step's batch.
    pub(crate) from: Position,
    /// Whether the state before the step lies beside the report, as `checkpoint`.
    pub(crate) has_state: bool,
    /// The step's samples, in order.
    pub(crate) samples: Vec<Value>,
    /// The step's numbers by name, as text, since JSON has no infinity.
    pub(crate) found: Map<String, Value>,
    /// The last records before the step.
    pub(crate) last: Value,
}

impl CrashReport {
    /// The report's file in a crash folder.
    pub(crate) const FILE: &str = "crash.json";
    /// The folder of the state in a crash folder.
    pub(crate) const STATE: &str = "checkpoint";
    /// The file of the run's settings in a crash folder.
    pub(crate) const CONFIG: &str = "config.toml";

    /// Reads the report in a crash folder.
    ///
    /// # Errors
    ///
    /// If there is none, or it is damaged or of another version.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let bytes = fs::read(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))
            .with_hint(|| "name the `crash` folder in a run folder")?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("cannot understand `{}`", path.display()))
            .with_hint(
                || "replay it with the version of the program that wrote it, unless the file is damaged",
            )
    }
}

/// Writes the crash folder in place of an older one. `write_state` writes the state before the step to a
/// folder and returns whether it could; `samples` describes the step's samples. Returns whether the folder
/// has the state.
///
/// # Errors
///
/// If the folder cannot be written.
pub(crate) fn write(
    folder: &RunFolder,
    crash: &Crash,
    config: &Config,
    write_state: impl FnOnce(&Path) -> bool,
    samples: impl FnOnce() -> Vec<Value>,
) -> Result<bool> {
    if folder.crash.exists() {
        fs::remove_dir_all(&folder.crash)?;
    }
    fs::create_dir(&folder.crash)?;
    let has_state = write_state(&folder.crash.join(CrashReport::STATE));
    let standing = folder.standing();
    let report = CrashReport {
        what: crash.what.clone(),
        time: Timestamp::now(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        step: crash.at.step,
        seed: config.seed,
        from: crash.at.from,
        has_state,
        samples: samples(),
        found: crash.numbers.as_ref().map(as_text).unwrap_or_default(),
        last: json!({"train": standing.train, "validation": standing.validation}),
    };
    config.write(&folder.crash.join(CrashReport::CONFIG))?;
    files::replace(&folder.crash.join(CrashReport::FILE), &serde_json::to_vec_pretty(&report)?)?;
    Ok(has_state)
}

/// Describes the samples of a batch of `batch_size`, which come next in `stream`, with the coordinates from
/// which their augmentation derives. Where `indices` are known, they name the samples.
pub(crate) fn describe_samples(stream: &Samples, batch_size: usize, indices: Option<&[i64]>) -> Vec<Value> {
    let Some(places) = stream.replacements() else {
        return indices.unwrap_or_default().iter().map(|&index| json!({"index": index})).collect();
    };
    match indices {
        Some(indices) => {
            (0..).zip(indices).map(|(number, &index)| describe(&places, number, Some(index))).collect()
        }
        None => (0..batch_size as u64).map(|number| describe(&places, number, None)).collect(),
    }
}

/// Describes the sample with an index that has the place of the stream's sample `number`: that one, or one that
/// follows it if it is bad. Without an index, describes the stream's sample.
fn describe(places: &Replacements, number: u64, index: Option<i64>) -> Value {
    /// Places that are searched for the sample.
    const SEARCHED: usize = 1000;
    let following = iter::successors(Some(places.place(number)), |&place| Some(places.after(place)));
    let is_it = |place: &Place| index.is_none_or(|index| index == places.index(*place) as i64);
    let read = |place| places.read(place, number).ok();
    match following.take(SEARCHED).find(is_it).and_then(read) {
        Some(sample) => json!({
            "index": sample.index, "epoch": sample.epoch, "shard": &*sample.shard, "offset": sample.offset,
            "key": sample.key,
        }),
        // Of a sample that can no longer be read, only the index is known.
        None => json!({"index": index.unwrap_or_else(|| places.index(places.place(number)) as i64)}),
    }
}

/// Returns a step's numbers by name, as text, since JSON has no infinity.
pub(crate) fn as_text(numbers: &StepNumbers) -> Map<String, Value> {
    let texts = numbers.named().into_iter().map(|(name, value)| (name.to_owned(), json!(value.to_string())));
    texts.collect()
}

#[cfg(test)]
mod tests {
    use shards::{Division, IndexConfig, LocalSource, Order, ShardSet, ShardWriter, Shuffle};

    use super::*;

    #[test]
    fn a_sample_that_took_the_place_of_a_bad_one_is_described() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        for key in ["a", "b", "c", "d", "e"] {
            writer.append(key, &[("jpg", b"...".as_slice())]).unwrap();
        }
        writer.finish().unwrap();
        let source = LocalSource::new(&[path.to_str().unwrap().to_owned()]).unwrap();
        let set = ShardSet::open(source, &IndexConfig::default()).unwrap();
        let order = Order { shuffle: Shuffle::None, ..Order::default() };
        let division = Division { batch: 4, ..Division::default() };
        let stream = set.samples(order, division, Position { epoch: 0, offset: 1 });
        let described = |indices| {
            let samples = describe_samples(&stream, 4, indices);
            let of = |sample: Value| (sample["key"].as_str().map(str::to_owned), sample["epoch"].as_u64());
            samples.into_iter().map(of).collect::<Vec<_>>()
        };
        let [a, b, c, d, e] = [("a", 1), ("b", 0), ("c", 0), ("d", 0), ("e", 0)]
            .map(|(key, epoch)| (Some(key.to_owned()), Some(epoch)));
        assert_eq!(described(None), [&b, &c, &d, &e].map(Clone::clone));
        // `c` and `e` are bad.
        assert_eq!(described(Some(&[1, 3, 3, 0])), [b.clone(), d.clone(), d.clone(), a]);
        assert_eq!(described(Some(&[1, 99, 3, 4])), [b, (None, None), d, (Some("e".to_owned()), Some(0))]);
    }
}
