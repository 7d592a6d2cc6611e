//! The progress line at the foot of a terminal. A process has one; all output to stderr removes it first and
//! redraws it afterwards.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::surroundings::columns;

static FOOT: Mutex<Foot> = Mutex::new(Foot { drawn: String::new(), is_closed: false });

/// The line at the foot of the terminal.
struct Foot {
    /// The text that is shown; empty if there is none.
    drawn: String,
    /// Whether nothing may be drawn any more, as the process ends.
    is_closed: bool,
}

fn foot() -> MutexGuard<'static, Foot> {
    FOOT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws a line in place of the previous one.
pub(super) fn draw(line: &str) {
    let mut foot = foot();
    if foot.is_closed || foot.drawn == line {
        return;
    }
    // A failure to write to the terminal does not end the process.
    let _ = io::stderr().write_all(&[&removal(&foot.drawn, columns()), line].concat().into_bytes());
    line.clone_into(&mut foot.drawn);
}

impl Foot {
    fn clear(&mut self) {
        let _ = io::stderr().write_all(removal(&self.drawn, columns()).as_bytes());
        self.drawn.clear();
    }
}

/// Removes the line, if there is one.
pub fn clear() {
    foot().clear();
}

/// Removes the line, and lets no thread draw it while `write` writes to the same terminal.
pub fn without<T>(write: impl FnOnce() -> T) -> T {
    let mut foot = foot();
    foot.clear();
    write()
}

/// Removes the line for the rest of the process.
pub fn close() {
    let mut foot = foot();
    foot.clear();
    foot.is_closed = true;
}

/// Writes complete lines above the line.
pub(super) fn above(message: &[u8]) -> io::Result<()> {
    let foot = foot();
    let removal = removal(&foot.drawn, columns());
    io::stderr().write_all(&[removal.as_bytes(), message, foot.drawn.as_bytes()].concat())
}

/// Returns the control sequence that removes a line, which may have been drawn when the terminal was wider.
fn removal(drawn: &str, columns: usize) -> String {
    match drawn.chars().count() {
        0 => String::new(),
        length if length <= columns => "\r\x1b[K".to_owned(),
        length => format!("\r\x1b[{}A\x1b[J", (length - 1) / columns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_removed_completely_after_the_terminal_became_narrower() {
        assert_eq!(removal("", 80), "");
        assert_eq!(removal(&"x".repeat(80), 80), "\r\x1b[K");
        assert_eq!(removal(&"x".repeat(81), 80), "\r\x1b[1A\x1b[J");
        assert_eq!(removal(&"x".repeat(79), 20), "\r\x1b[3A\x1b[J");
    }
}
