//! The report: a file with every finding.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;
use shards::Partial;

use crate::error::VerifyError;

/// The file of the report. It appears under its name only when it is complete.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    partial: Partial,
    file: BufWriter<File>,
}

impl Report {
    /// Creates the file under a temporary name in its folder.
    pub(super) fn create(path: &Path) -> Result<Self, VerifyError> {
        let refuse = |source| VerifyError::ReportPlace { path: path.to_owned(), source };
        let partial = Partial::beside(path).map_err(refuse)?;
        let file = BufWriter::new(partial.create().map_err(refuse)?);
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// Appends a finding as a line of JSON.
    pub(super) fn write(&mut self, finding: &impl Serialize) -> Result<(), VerifyError> {
        let line = serde_json::to_vec(finding).map_err(io::Error::from);
        let written = line.and_then(|line| self.file.write_all(&[&line[..], b"\n"].concat()));
        written.map_err(|source| VerifyError::Report { path: self.path.clone(), source })
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), VerifyError> {
        let Self { path, partial, mut file } = self;
        let named = file.flush().and_then(|()| partial.finish());
        named.map_err(|source| VerifyError::Report { path, source })
    }
}

/// Returns whether a file is a report, or empty.
pub(super) fn is_report(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut head = String::new();
    let is_read = BufReader::new(file.take(1 << 20)).read_line(&mut head).is_ok();
    let finding = || serde_json::from_str::<Value>(&head).is_ok_and(|line| !line["kind"].is_null());
    is_read && (head.is_empty() || finding())
}
