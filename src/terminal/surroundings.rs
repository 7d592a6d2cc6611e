//! The capabilities of stderr.

use std::{
    env,
    io::{self, IsTerminal},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustix::termios::tcgetwinsize;

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// The kind of stderr, and the environment variables that decide on lines and colours.
#[derive(Debug, Clone)]
struct Surroundings {
    is_terminal: bool,
    term: Option<String>,
    no_color: Option<String>,
    clicolor: Option<String>,
    clicolor_force: Option<String>,
}

impl Surroundings {
    fn of_process() -> Self {
        let named = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            is_terminal: io::stderr().is_terminal(),
            term: named("TERM"),
            no_color: named("NO_COLOR"),
            clicolor: named("CLICOLOR"),
            clicolor_force: named("CLICOLOR_FORCE"),
        }
    }

    /// Returns whether stderr is a terminal that can redraw a line, and the user does not ask for plain text
    /// (<https://no-color.org>, <https://bixense.com/clicolors>).
    fn has_line(&self) -> bool {
        let is_dumb = self.term.as_deref().is_none_or(|term| term == "dumb");
        self.is_terminal && !is_dumb && self.no_color.is_none() && self.clicolor.as_deref() != Some("0")
    }

    fn has_colours(&self) -> bool {
        let is_forced = self.clicolor_force.as_deref().is_some_and(|value| value != "0");
        self.no_color.is_none() && (is_forced || self.has_line())
    }
}

/// Whether this process draws no line.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Makes this process draw no line: another one draws it on the same terminal.
pub fn silence() {
    IS_SILENT.store(true, Relaxed);
}

/// Returns whether stderr shows a line that is redrawn, instead of plain lines.
pub fn has_line() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    !IS_SILENT.load(Relaxed) && *FOUND.get_or_init(|| Surroundings::of_process().has_line())
}

/// Returns whether messages are coloured, with the 16 colours of the terminal.
pub fn has_colours() -> bool {
    Surroundings::of_process().has_colours()
}

/// Returns the number of columns of a terminal; none if this is not a terminal or does not know.
fn columns_of(terminal: impl std::os::fd::AsFd) -> Option<usize> {
    let columns = tcgetwinsize(terminal).ok()?.ws_col;
    (columns > 0).then_some(columns.into())
}

/// Returns the number of columns of stderr.
pub(super) fn columns() -> usize {
    columns_of(io::stderr()).unwrap_or(COLUMNS)
}

/// Returns the number of columns for text on stdout: that of the terminal, or of the variable COLUMNS, or 80.
pub fn columns_for_text() -> usize {
    let named = || env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0);
    columns_of(io::stdout()).or_else(named).unwrap_or(COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_colours_follow_the_terminal_and_the_users_variables() {
        let xterm = Surroundings {
            is_terminal: true,
            term: Some("xterm".to_owned()),
            no_color: None,
            clicolor: None,
            clicolor_force: None,
        };
        let shown = |is_terminal: bool, setting: &str, value: &str| {
            let mut changed = Surroundings { is_terminal, ..xterm.clone() };
            let value = Some(value.to_owned());
            match setting {
                "TERM" => changed.term = value,
                "NO_COLOR" => changed.no_color = value,
                "CLICOLOR" => changed.clicolor = value,
                _ => changed.clicolor_force = value,
            }
            (changed.has_line(), changed.has_colours())
        };
        assert_eq!(shown(true, "TERM", "xterm"), (true, true));
        assert_eq!(shown(false, "TERM", "xterm"), (false, false));
        assert_eq!(shown(true, "TERM", "dumb"), (false, false));
        assert_eq!(shown(true, "NO_COLOR", "1"), (false, false));
        assert_eq!(shown(true, "CLICOLOR", "0"), (false, false));
        assert_eq!(shown(true, "CLICOLOR", "1"), (true, true));
        assert_eq!(shown(false, "CLICOLOR_FORCE", "1"), (false, true), "a file gets colours, but no line");
        assert_eq!(shown(false, "CLICOLOR_FORCE", "0"), (false, false));
        let both =
            Surroundings { no_color: Some("1".to_owned()), clicolor_force: Some("1".to_owned()), ..xterm };
        assert!(!both.has_colours(), "NO_COLOR wins");
    }
}
