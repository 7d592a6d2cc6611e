//! The file that lists every finding.

use std::{
    fs::{File, Permissions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::error::VerifyError;

/// The file that gets every finding. It has its name only when it is complete.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Report {
    /// Begins the file under a temporary name in its folder.
    pub(super) fn create(path: &Path) -> Result<Self, VerifyError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".report")
            .suffix(shards::unfinished_suffix())
            .permissions(Permissions::from_mode(0o666)) // less what the user's mask takes away
            .tempfile_in(folder);
        let refuse = |source| VerifyError::ReportPlace { path: path.to_owned(), source };
        Ok(Self { path: path.to_owned(), file: BufWriter::new(temporary.map_err(refuse)?) })
    }

    /// Adds a finding as a line of JSON.
    pub(super) fn write(&mut self, finding: &impl Serialize) -> Result<(), VerifyError> {
        let line = serde_json::to_vec(finding).map_err(io::Error::from);
        let written = line.and_then(|line| self.file.write_all(&[&line[..], b"\n"].concat()));
        written.map_err(|source| VerifyError::Report { path: self.path.clone(), source })
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), VerifyError> {
        let Self { path, file } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let named = file.and_then(|file| file.persist(&path).map_err(|error| error.error));
        named.map(drop).map_err(|source| VerifyError::Report { path, source })
    }
}

/// Whether a file is a report, or empty.
pub(super) fn is_report(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut head = String::new();
    let is_read = BufReader::new(file.take(1 << 20)).read_line(&mut head).is_ok();
    let finding = || serde_json::from_str::<Value>(&head).is_ok_and(|line| !line["kind"].is_null());
    is_read && (head.is_empty() || finding())
}
