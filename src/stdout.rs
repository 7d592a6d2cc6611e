//! Results: one JSON object a line on stdout.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};
use serde_json::Value;

/// Prints one result. A reader that has gone away is no error.
pub fn print(result: &Value) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{result}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result to stdout"),
    }
}
