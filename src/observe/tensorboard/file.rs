//! An event file.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{checksum::masked, event, message::Message};
use crate::world;

/// What names of event files begin with.
const PREFIX: &str = "events.out.tfevents.";

/// A file of events. TensorBoard reads the files of a folder in the order of their names, each up to its first
/// damaged record. So a file is never appended to by another process, which may find it cut.
#[derive(Debug)]
pub(super) struct EventFile {
    file: File,
    path: PathBuf,
    /// The bytes of whole records.
    length: u64,
    /// Whether a part of a record could not be removed.
    is_damaged: bool,
}

impl EventFile {
    /// Creates a file in a folder, whose name follows those of all event files there. Creates the folder if it does
    /// not exist.
    pub(super) fn create(folder: &Path, suffix: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let names = names(folder)?;
        let last = names.iter().filter_map(|name| seconds_of(name)).max();
        // A clock may have gone backwards, and two processes may begin within a second.
        let seconds = now().as_secs().max(last.map_or(0, |last| last + 1));
        let host = world::host().replace(['/', '\0'], "-");
        let path = folder.join(format!("{PREFIX}{seconds:010}.{host}.{}.0{suffix}", std::process::id()));
        let file = File::create_new(&path)?;
        let mut file = Self { file, path, length: 0, is_damaged: false };
        let begun = file.append(event::version());
        if begun.is_err() {
            let _ = fs::remove_file(&file.path); // it says nothing
        }
        begun.map(|()| file)
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether a part of a record is at its end, behind which no reader looks.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Returns whether somebody has removed the file.
    pub(super) fn is_removed(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() == 0)
    }

    /// Appends an event of this moment. A record that cannot be written as a whole is removed again.
    pub(super) fn append(&mut self, event: Message) -> io::Result<()> {
        let event = event.double(1, now().as_secs_f64()).encoded();
        let length = (event.len() as u64).to_le_bytes();
        let record =
            [&length[..], &masked(&length).to_le_bytes(), &event, &masked(&event).to_le_bytes()].concat();
        if let Err(error) = self.file.write_all(&record) {
            let taken_back = self.file.set_len(self.length);
            let taken_back = taken_back.and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            self.is_damaged = taken_back.is_err();
            return Err(error);
        }
        self.length += record.len() as u64;
        Ok(())
    }
}

/// Returns the names of the event files in a folder: those that TensorBoard would read. There are none if the folder
/// does not exist.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: io::Result<Vec<_>> = names.collect();
    Ok(names?.into_iter().filter(|name| name.contains("tfevents")).collect())
}

/// Returns the time in the name of an event file, in seconds.
fn seconds_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_file_has_a_later_name_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let mut last = format!("{PREFIX}9999999990.host.1.0");
        fs::write(folder.path().join(&last), "").unwrap();
        for _ in 0..3 {
            let file = EventFile::create(folder.path(), "").unwrap();
            let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
            assert!(name > last, "{name} {last}");
            last = name;
        }
        assert_eq!(names(folder.path()).unwrap().len(), 4);
    }
}
