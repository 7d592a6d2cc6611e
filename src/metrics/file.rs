//! `metrics.jsonl`: the records of a run, one in each line, with the version of the format.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    jsonl::{JsonLines, read_lines},
    record::Record,
    sink::Sink,
};
use crate::failure;

/// The version of the format. It changes when a name, unit or meaning of a field changes, and not with a new
/// field.
pub const FORMAT: u32 = 1;

/// A line that is written.
#[derive(Serialize)]
struct Line<'a> {
    format: u32,
    #[serde(flatten)]
    record: &'a Record,
}

/// The fields of each line in every version. A line without a version has the first one.
#[derive(Deserialize)]
struct Stamp {
    #[serde(default = "first")]
    format: u32,
    step: u64,
}

fn first() -> u32 {
    1
}

/// The file to which a run appends its records.
#[derive(Debug)]
pub struct RecordFile {
    lines: JsonLines,
}

impl RecordFile {
    /// Opens the file of a run at `step`, and removes later records, since their steps are made again.
    ///
    /// # Errors
    ///
    /// If a later version of the program wrote the file, or it cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        check(path, &read_lines(path)?)?;
        let is_kept = |line: &Value| Stamp::deserialize(line).is_ok_and(|stamp| stamp.step <= step);
        Ok(Self { lines: JsonLines::open(path, is_kept)? })
    }
}

impl Sink for RecordFile {
    fn write(&mut self, record: &Record) -> Result<()> {
        // A `Value` has its fields in order.
        self.lines.append(&serde_json::to_value(Line { format: FORMAT, record })?)
    }
}

/// Reads the records of a file, in order; none if there is no file. Lines of unknown kinds are left out.
///
/// # Errors
///
/// If a later version of the program wrote the file, or it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let lines = read_lines(path)?;
    check(path, &lines)?;
    Ok(lines.into_iter().filter_map(record).collect())
}

fn record(mut line: Value) -> Option<Record> {
    line.as_object_mut()?.remove("format");
    serde_json::from_value(line).ok()
}

/// Refuses lines that a later version of the program wrote.
fn check(path: &Path, lines: &[Value]) -> Result<()> {
    let formats = lines.iter().filter_map(|line| Stamp::deserialize(line).ok()).map(|stamp| stamp.format);
    match formats.max() {
        Some(format) if format > FORMAT => Err(failure!(
            "`{}` has records of format {format}, and this version of the program reads formats up to {FORMAT}", path.display();
            "use the version of the program that wrote it, or name another folder with --out"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::metrics::{TrainRecord, ValidationRecord};

    fn train(step: u64) -> Record {
        Record::Train(Box::new(TrainRecord { step, loss: Some(1.5), ..TrainRecord::default() }))
    }

    #[test]
    fn a_resumed_run_replaces_the_records_after_its_checkpoint() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("metrics.jsonl");
        let mut file = RecordFile::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            file.write(&train(step)).unwrap();
        }
        let mut file = RecordFile::open(&path, 20).unwrap();
        file.write(&train(30)).unwrap();
        assert_eq!(read(&path).unwrap(), [10, 20, 30].map(train));
        let lines: Vec<Value> = read_lines(&path).unwrap();
        assert_eq!(lines[0], json!({"format": 1, "kind": "train", "step": 10, "loss": 1.5}));
    }

    #[test]
    fn files_without_a_format_are_read_and_files_of_a_later_format_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("metrics.jsonl");
        let old = "{\"kind\":\"validation\",\"step\":8,\"mlp\":0.5}\n{\"kind\":\"other\",\"step\":8}\n{\"kind\": \"tr";
        fs::write(&path, old).unwrap();
        let expected = ValidationRecord { step: 8, mlp: Some(0.5), ..ValidationRecord::default() };
        assert_eq!(read(&path).unwrap(), [Record::Validation(expected)]);
        fs::write(&path, "{\"format\":2,\"step\":3}\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("records of format 2"), "{error}");
        assert!(RecordFile::open(&path, 9).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"format\":2,\"step\":3}\n");
    }
}
