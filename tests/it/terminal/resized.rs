//! A terminal whose number of columns changes in the middle of a run.

use std::{fs::File, io::Read, process::Child};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, WaitOptions, waitpid},
};

use super::{
    capture::{Pty, read_interrupting, resize, send},
    output::short_run,
    screen::Screen,
};
use crate::support::Place;

/// A run on a terminal.
struct Shown {
    child: Child,
    output: File,
    screen: Screen,
    /// The bytes of a letter that has not come completely.
    rest: Vec<u8>,
}

impl Shown {
    fn start(columns: u16, place: &Place) -> Self {
        let (child, output) = Pty::open(columns).start(&mut short_run(place, "run"));
        Self { child, output, screen: Screen::new(columns.into()), rest: Vec::new() }
    }

    /// Shows what has been read.
    fn show(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        self.screen.show(&String::from_utf8(text).unwrap());
    }

    /// Shows the run until so many more lines were drawn over. Returns them.
    fn follow(&mut self, lines: usize) -> Vec<String> {
        let begin = self.screen.drawn_over.len();
        let mut piece = [0; 4096];
        while self.screen.drawn_over.len() < begin + lines {
            let count = self.output.read(&mut piece).expect("the run goes on");
            self.show(&piece[..count]);
        }
        self.screen.drawn_over[begin..].to_vec()
    }

    /// Changes the number of columns while the run stands still, so that it is known what was drawn before.
    fn resize(&mut self, columns: u16) {
        send(&self.child, Signal::STOP);
        let stopped = waitpid(Some(Pid::from_child(&self.child)), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "{stopped:?}");
        let flags = fcntl_getfl(&self.output).unwrap();
        fcntl_setfl(&self.output, flags | OFlags::NONBLOCK).unwrap();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = self.output.read(&mut piece) {
            self.show(&piece[..count]);
        }
        fcntl_setfl(&self.output, flags).unwrap();
        resize(&self.output, columns);
        self.screen.resize(columns.into());
        send(&self.child, Signal::CONT);
    }
}

/// Returns whether a line is one of progress.
fn is_progress(line: &str) -> bool {
    line.contains("  eta ")
}

#[test]
fn the_progress_line_fits_a_terminal_that_was_resized_and_nothing_of_the_old_line_stays() {
    let place = Place::new();
    let mut shown = Shown::start(100, &place);
    let wide = shown.follow(8);
    assert!(wide.iter().any(|line| line.chars().count() > 60), "{wide:?}");
    let messages = |screen: &Screen| {
        let lines = screen.lines().into_iter();
        lines.filter(|line| !is_progress(line)).collect::<Vec<_>>()
    };
    let before = messages(&shown.screen);
    assert!(before.iter().any(|line| line.contains("INFO")), "{before:?}");
    for (columns, least) in [(40, 20), (24, 10), (90, 50), (61, 40)] {
        shown.resize(columns);
        let drawn = shown.follow(8);
        // The first was drawn before, and the second may have been under way.
        for line in &drawn[2..] {
            assert!(line.chars().count() < columns.into(), "{columns} columns have no room for `{line}`");
        }
        assert!(drawn[2..].iter().any(|line| line.chars().count() >= least), "{columns}: {drawn:?}");
        let lines = shown.screen.lines();
        assert!(lines.iter().filter(|line| is_progress(line)).count() <= 1, "{columns}: {lines:#?}");
        let now = messages(&shown.screen);
        assert!(now.starts_with(&before), "{columns}: {before:#?} {now:#?}");
    }
    let Shown { mut child, mut output, mut screen, rest } = shown;
    send(&child, Signal::INT);
    let bytes = read_interrupting(&child, &mut output, None);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{bytes}");
    screen.show(&(String::from_utf8(rest).unwrap() + &bytes));
    let lines = screen.lines();
    assert!(!lines.iter().any(|line| is_progress(line) || line.contains(['█', '░'])), "{lines:#?}");
    assert!(lines.starts_with(&before), "{before:#?} {lines:#?}");
}
