//! Files of one JSON object a line.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{files, hint::WithHint};

/// Appends objects to a file of JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
}

impl JsonLines {
    /// Opens the file, keeping of its lines only those that `keep` wants.
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
    use serde_json::json;

    use super::*;

    #[test]
    fn reopening_drops_what_is_not_kept_and_a_cut_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let mut lines = JsonLines::open(&path, |_| true).unwrap();
        for step in [10, 20, 30] {
            lines.append(&json!({"step": step})).unwrap();
        }
        lines.file.write_all(b"{\"step\": 4").unwrap();
        let mut lines = JsonLines::open(&path, |line| line["step"].as_u64() <= Some(20)).unwrap();
        lines.append(&json!({"step": 30})).unwrap();
        assert_eq!(read_lines(&path).unwrap(), [10, 20, 30].map(|step| json!({"step": step})));
    }
}
