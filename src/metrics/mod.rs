//! What a run says of itself: records of names and numbers, written to every sink.

mod jsonl;
mod progress;

use anyhow::Result;
pub use jsonl::{JsonLines, read_lines};
pub use progress::Progress;

/// Numbers at one step.
#[derive(Debug, Clone)]
pub struct Record {
    /// `train` or `validation`.
    pub kind: &'static str,
    /// Updates made.
    pub step: u64,
    /// The numbers, in the order in which they are shown; one that is not finite is left out.
    pub values: Vec<(&'static str, f64)>,
    /// What is to be said in words.
    pub texts: Vec<(&'static str, String)>,
}

impl Record {
    /// The number of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The words of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(other, _)| *other == name).map(|(_, text)| text.as_str())
    }
}

/// Where records go.
pub trait Sink {
    /// Hears of a step of which there is no record, or not yet.
    fn step(&mut self, _step: u64) {}

    /// Takes a record.
    fn write(&mut self, record: &Record) -> Result<()>;
}
