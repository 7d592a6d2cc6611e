//! Runs programs whose output goes to a terminal.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// A pseudo-terminal.
pub(crate) struct Pty {
    /// The end from which the user's screen is read.
    pub(crate) user: OwnedFd,
    /// The end that the program writes to.
    pub(crate) program: OwnedFd,
}

impl Pty {
    pub(crate) fn open(columns: u16) -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let program =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        resize(&program, columns);
        Self { user, program }
    }

    /// Starts a command with stdout and stderr on the terminal. Returns the process and the user's end.
    pub(crate) fn start(self, command: &mut Command) -> (Child, File) {
        let output = || Stdio::from(self.program.try_clone().unwrap());
        let child = command.stdout(output()).stderr(output()).spawn().unwrap();
        command.stdout(Stdio::null()).stderr(Stdio::null()); // closes the command's copies of the program's end
        (child, File::from(self.user))
    }
}

/// Changes the number of columns of a terminal, of which this is either end.
pub(crate) fn resize(terminal: impl AsFd, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

pub(crate) fn send(child: &Child, signal: Signal) {
    // A process inherits ignored signals, and the test would wait for ever.
    assert!(
        !torchkit::is_ignored(signal.as_raw()),
        "the tests were started with {signal:?} ignored, as by `&` in a script"
    );
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Reads all output. Sends SIGINT as soon as `sign` appears.
pub(crate) fn read_interrupting(child: &Child, output: &mut impl Read, sign: Option<&str>) -> String {
    let (mut all, mut piece, mut waiting) = (Vec::new(), [0; 4096], sign);
    // Reading from a terminal without writers is an error.
    while let Ok(count @ 1..) = output.read(&mut piece) {
        all.extend_from_slice(&piece[..count]);
        if waiting.is_some_and(|sign| String::from_utf8_lossy(&all).contains(sign)) {
            waiting = None;
            send(child, Signal::INT);
        }
    }
    String::from_utf8(all).unwrap()
}
