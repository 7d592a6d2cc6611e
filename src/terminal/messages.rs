//! The writer of messages.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use super::line;

/// Writes messages to stderr, above the progress line.
#[derive(Debug, Clone, Copy)]
pub struct Messages;

impl Write for Messages {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        line::above(message).map(|()| message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Messages {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
