//! `metrics.jsonl`: one JSON object a line.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{Record, Sink};
use crate::{files, hint::WithHint};

/// Appends objects to a file of JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
}

impl JsonLines {
    /// Opens the file, keeping of its lines only those that `keep` wants: what a killed run wrote after its last
    /// checkpoint is going to be written again.
    pub fn open(path: &Path, keep: impl Fn(&Value) -> bool) -> Result<Self> {
        let kept: Vec<_> =
            read_lines(path)?.into_iter().filter(keep).map(|line| format!("{line}\n")).collect();
        files::replace(path, kept.concat().as_bytes()).or_cannot_write(path)?;
        let file = files::append(path).or_cannot_write(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends one line.
    pub fn append(&mut self, line: &Value) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).or_cannot_write(&self.path)
    }
}

impl Sink for JsonLines {
    fn write(&mut self, record: &Record) -> Result<()> {
        let mut object = Map::new();
        object.insert("kind".to_owned(), json!(record.kind));
        object.insert("step".to_owned(), json!(record.step));
        for (name, value) in record.values.iter().filter(|(_, value)| value.is_finite()) {
            object.insert((*name).to_owned(), json!(value));
        }
        for (name, text) in &record.texts {
            object.insert((*name).to_owned(), json!(text));
        }
        self.append(&Value::Object(object))
    }
}

/// The objects of a file, in order; a last line that was cut is left out, a file that is not there has none.
pub fn read_lines(path: &Path) -> Result<Vec<Value>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error)
            .with_context(|| format!("cannot read `{}`", path.display()))
            .with_hint(|| "check its permissions and its disk, or name another folder with --out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reopening_drops_what_comes_again_and_a_cut_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let record = |step| Record {
            kind: "train",
            step,
            values: vec![("loss", 1.5), ("accuracy", f64::NAN)],
            texts: vec![("bound", "data".to_owned())],
        };
        let mut lines = JsonLines::open(&path, |_| true).unwrap();
        for step in [10, 20, 30] {
            lines.write(&record(step)).unwrap();
        }
        lines.file.write_all(b"{\"step\": 4").unwrap();
        let mut lines = JsonLines::open(&path, |line| line["step"].as_u64() <= Some(20)).unwrap();
        lines.write(&record(30)).unwrap();
        let found = read_lines(&path).unwrap();
        assert_eq!(found.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(found[0], json!({"kind": "train", "step": 10, "loss": 1.5, "bound": "data"}));
    }
}
