//! Results on stdout: words on a terminal, one JSON object in each line elsewhere.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::terminal;

/// Whether the user asked for JSON on a terminal, too.
static IS_JSON_ASKED_FOR: AtomicBool = AtomicBool::new(false);

/// Whether nothing is printed.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Makes this process print no results: another one prints them.
pub fn silence() {
    IS_SILENT.store(true, Relaxed);
}

/// Makes results JSON on a terminal, too.
pub fn ask_for_json() {
    IS_JSON_ASKED_FOR.store(true, Relaxed);
}

/// Returns whether results are JSON: stdout is not a terminal, or the user asked for it.
pub fn is_json() -> bool {
    IS_JSON_ASKED_FOR.load(Relaxed) || !io::stdout().is_terminal()
}

/// Prints one result as JSON. Prints nothing if results are words.
///
/// # Errors
///
/// If stdout cannot be written to. A closed pipe is not an error.
pub fn print(result: &Value) -> Result<()> {
    if is_json() { text(format!("{result}\n").as_bytes()) } else { Ok(()) }
}

/// Prints a result in words: on stdout if results are words, else as a message on stderr.
///
/// # Errors
///
/// If stdout cannot be written to.
pub fn say(words: &str) -> Result<()> {
    if is_json() {
        tracing::info!("{words}");
        return Ok(());
    }
    text(format!("{words}\n").as_bytes())
}

/// Prints a text without changes.
///
/// # Errors
///
/// If stdout cannot be written to. A closed pipe is not an error.
pub fn text(text: &[u8]) -> Result<()> {
    if IS_SILENT.load(Relaxed) {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    let mut write = || stdout.write_all(text).and_then(|()| stdout.flush());
    let written = if is_terminal {
        terminal::without(write) // stderr may be the same terminal
    } else {
        terminal::clear(); // a slow reader does not block other threads
        write()
    };
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result to stdout"),
    }
}
