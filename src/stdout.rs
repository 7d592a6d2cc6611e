//! Results: words for a terminal, one JSON object a line for everything else.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::terminal;

/// Whether a terminal gets JSON, too.
static IS_JSON_ASKED_FOR: AtomicBool = AtomicBool::new(false);

/// Lets results be JSON on a terminal, too.
pub fn ask_for_json() {
    IS_JSON_ASKED_FOR.store(true, Relaxed);
}

/// Whether results are JSON: other programs read them, or the user asked for it.
pub fn is_json() -> bool {
    IS_JSON_ASKED_FOR.load(Relaxed) || !io::stdout().is_terminal()
}

/// Prints one result as JSON; nothing where words are read.
///
/// # Errors
///
/// If stdout cannot be written to. A reader that has gone away is no error.
pub fn print(result: &Value) -> Result<()> {
    if is_json() { text(format!("{result}\n").as_bytes()) } else { Ok(()) }
}

/// Says a result in words: on stdout where it is a terminal, else as a message.
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

/// Prints a text as it is.
///
/// # Errors
///
/// If stdout cannot be written to. A reader that has gone away is no error.
pub fn text(text: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    let mut write = || stdout.write_all(text).and_then(|()| stdout.flush());
    let written = if is_terminal {
        terminal::without(write) // stderr may be the same one
    } else {
        terminal::clear(); // a reader that is slow holds nobody else up
        write()
    };
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result to stdout"),
    }
}
