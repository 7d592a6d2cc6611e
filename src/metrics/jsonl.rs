//! Files with one JSON object in each line.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{files, hint::WithHint};

/// A file of JSON lines, to which lines are appended.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
}

impl JsonLines {
    /// Opens the file, and removes the lines for which `keep` returns false.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn open(path: &Path, keep: impl Fn(&Value) -> bool) -> Result<Self> {
        let kept: Vec<_> =
            read_lines(path)?.into_iter().filter(keep).map(|line| format!("{line}\n")).collect();
        files::replace(path, kept.concat().as_bytes()).or_cannot_write(path)?;
        let file = files::append(path).or_cannot_write(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends one line.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn append(&mut self, line: &Value) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).or_cannot_write(&self.path)
    }
}

/// Reads the objects of a file, in order; none if there is no file. A line that is not JSON, such as a last
/// line that was cut, is left out.
///
/// # Errors
///
/// If the file cannot be read.
pub fn read_lines(path: &Path) -> Result<Vec<Value>> {
    match fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) {
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
    fn reopening_a_file_removes_lines_that_are_not_kept_and_a_cut_line() {
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
