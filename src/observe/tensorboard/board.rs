//! What a process tells TensorBoard.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pipeline::Rgb;

use super::{event, file::EventFile, message::Message, tags};
use crate::{
    config::Config,
    hint::WithHint,
    metrics::{Histogram, Record},
};

/// The event file of a process, in the folder of its run.
///
/// The file is created with the first thing to be said. It begins by taking back what earlier files in the folder say
/// of the steps that this process makes again: TensorBoard then shows each step once, after any number of kills. A
/// failed write leaves the file as it was before, and the next one is tried again; if the file was removed, it goes on
/// in a new one.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    /// What the names of its files end with.
    suffix: &'static str,
    /// The settings of the run, as TOML.
    text: String,
    /// The same, if this version of the program can read them.
    config: Option<Config>,
    /// The first step of which nothing was said.
    next: u64,
    file: Option<EventFile>,
}

impl TensorBoard {
    /// Returns the event file of a process that goes on after `step` steps. Nothing is created before the first call
    /// of another function. `config` has the settings of the run as TOML, for the text `config`.
    pub fn new(folder: &Path, step: u64, config: String) -> Self {
        let (table, text) = (config.parse().ok(), config);
        let config = table.and_then(|table| Config::resolve(&table).ok());
        Self { folder: folder.to_owned(), suffix: "", text, config, next: step + 1, file: None }
    }

    /// Returns the event file of a whole run, whose name ends with `suffix`.
    pub(super) fn named(folder: &Path, suffix: &'static str, config: String) -> Self {
        Self { suffix, ..Self::new(folder, 0, config) }
    }

    /// Returns the path of the file, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(EventFile::path)
    }

    /// Writes the numbers of a record, all or none.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn record(&mut self, record: &Record) -> Result<()> {
        let numbers = tags::of(record, self.config.as_ref());
        let numbers = numbers.iter().map(|(tag, number)| (tag.as_str(), *number));
        self.write(record.step(), event::scalars(record.step(), numbers))
    }

    /// Writes a text in Markdown.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn text(&mut self, step: u64, tag: &str, markdown: &str) -> Result<()> {
        self.write(step, event::text(step, tag, markdown))
    }

    /// Writes an image, as a PNG.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded or written.
    pub fn image(&mut self, step: u64, tag: &str, image: &Rgb) -> Result<()> {
        let event =
            event::image(step, tag, image).with_context(|| format!("cannot encode the image `{tag}`"))?;
        self.write(step, event)
    }

    /// Writes a histogram.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn histogram(&mut self, step: u64, tag: &str, histogram: &Histogram) -> Result<()> {
        self.write(step, event::histogram(step, tag, histogram))
    }

    fn write(&mut self, step: u64, event: Message) -> Result<()> {
        let written = self.open().and_then(|file| file.append(event));
        if self.file.as_ref().is_some_and(EventFile::is_damaged) {
            self.file = None; // the next event begins another one
        }
        written
            .with_context(|| format!("cannot write events to `{}`", self.folder.display()))
            .with_write_hint()?;
        self.next = self.next.max(step + 1);
        Ok(())
    }

    /// Returns the file, in which the first event takes back those of other files from its first step on. That event
    /// is in every file, also in that of a new run: a loader of TensorBoard ignores the first one that it finds.
    fn open(&mut self) -> io::Result<&mut EventFile> {
        let old = match self.file.take() {
            Some(file) if file.is_removed()? => None,
            old => old,
        };
        let file = match old {
            Some(file) => file,
            None => self.create()?,
        };
        Ok(self.file.insert(file))
    }

    fn create(&self) -> io::Result<EventFile> {
        let mut file = EventFile::create(&self.folder, self.suffix)?;
        let config = format!("```toml\n{}```\n", self.text);
        let begun = file.append(event::start(self.next));
        if let Err(error) = begun.and_then(|()| file.append(event::text(self.next, tags::CONFIG, &config))) {
            let _ = fs::remove_file(file.path()); // it says nothing
            return Err(error);
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TrainRecord;

    fn record(step: u64) -> Record {
        Record::Train(Box::new(TrainRecord { step, loss: Some(1.0), ..TrainRecord::default() }))
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[test]
    fn a_process_that_says_nothing_writes_no_file() {
        let place = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::new(&place.path().join("x"), 0, String::new());
        assert_eq!(files(place.path()), 0);
        board.record(&record(1)).unwrap();
        board.record(&record(2)).unwrap();
        assert_eq!(files(&place.path().join("x")), 1);
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again_and_takes_nothing_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("x");
        let mut board = TensorBoard::new(&folder, 0, String::new());
        board.record(&record(3)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        board.record(&record(4)).unwrap();
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [name] = &names[..] else { panic!("{names:?}") };
        let bytes = fs::read(name).unwrap();
        let start = event::start(4).encoded();
        assert!(bytes.windows(start.len()).any(|part| part == start), "it begins at step 4");
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named_and_tried_again() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("x");
        fs::write(&folder, "a file").unwrap();
        let mut board = TensorBoard::new(&folder, 0, String::new());
        let error = board.record(&record(1)).unwrap_err();
        assert!(error.to_string().contains("cannot write events to `"), "{error}");
        fs::remove_file(&folder).unwrap();
        board.record(&record(2)).unwrap();
        assert_eq!(files(&folder), 1);
    }
}
