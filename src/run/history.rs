//! `history.jsonl`: every start of a run and every end.

use std::{env, fs, io::Write, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{files, metrics::read_lines};

/// A start or an end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A process, or several that train together, began to train.
    Start(Box<Begun>),
    /// They ended in order, with or without an error.
    End(Ended),
}

/// The start of a run, or of its continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// The time.
    pub time: Timestamp,
    /// The version of the program.
    pub program: String,
    /// The name of the machine of the lead.
    pub host: String,
    /// The device.
    pub device: String,
    /// The precision of the encoder.
    pub precision: String,
    /// Decoding threads of each process.
    pub workers: usize,
    /// Threads of libtorch, where it computes on the CPU.
    #[serde(default)]
    pub threads: Option<usize>,
    /// The number of processes that train together.
    pub processes: usize,
    /// Steps made before.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The command line of the lead.
    pub command: String,
}

/// The orderly end of a run, or of a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The time.
    pub time: Timestamp,
    /// Steps made.
    pub step: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The error in one line, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All steps are made.
    Finished,
    /// A signal stopped it.
    Signal,
    /// It stopped before a time.
    Time,
    /// An error ended it.
    Failed,
}

/// Returns the command line of this process, quoted for a shell. Queries of web addresses, which may be secrets, are left
/// out.
pub(crate) fn command() -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    let quoted = |word: String| {
        let is_bare = !word.is_empty() && word.chars().all(is_plain);
        if is_bare { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let words = env::args_os().skip(1).map(|word| quoted(without_query(&word.to_string_lossy())));
    ["amdim-stream".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// Returns an argument without the query of a web address in it.
fn without_query(word: &str) -> String {
    match word.split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
        Some((flag, value)) => format!("{flag}={}", shards::without_query(value)),
        None => shards::without_query(word).to_owned(),
    }
}

/// Appends an event. A file that cannot be written costs a warning and not the run.
pub(crate) fn note(path: &Path, event: &Event) {
    let write = || -> anyhow::Result<()> {
        let line = serde_json::to_string(event)?;
        let is_cut = fs::read(path).is_ok_and(|text| text.last().is_some_and(|&byte| byte != b'\n'));
        let begin = if is_cut { "\n" } else { "" };
        Ok(files::append(path)?.write_all(format!("{begin}{line}\n").as_bytes())?)
    };
    if let Err(error) = write() {
        tracing::warn!("`{}` cannot be written: {error:#}", path.display());
    }
}

/// Reads all events, in order; none if there is no file. Events of unknown kinds are left out.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Event>> {
    let lines = read_lines(path)?.into_iter();
    Ok(lines.filter_map(|line| serde_json::from_value(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_noted_and_a_cut_line_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("history.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let end = |step| {
            let error = Some("the disk is full".to_owned());
            Event::End(Ended { time: Timestamp::UNIX_EPOCH, step, outcome: Outcome::Failed, error })
        };
        note(&path, &end(3));
        note(&path, &end(4));
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"en").unwrap();
        assert_eq!(read(&path).unwrap(), [end(3), end(4)]);
        note(&place.path().join("nowhere/history.jsonl"), &end(5));
    }
}
