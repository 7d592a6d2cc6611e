//! Signals that ask for an end: from the keyboard, from a terminal that is closed, from a system that needs the machine.

use std::{
    ffi::c_int,
    fs,
    path::{Path, PathBuf},
    process,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
    low_level,
};

use crate::{exit::Code, sys, terminal};

/// Slurm sends SIGUSR1 before the time of a job is over, when it is asked to.
const ENDING: [c_int; 5] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];

/// Listens from now on. A run that `nohup` started goes on when its terminal is closed.
pub(crate) fn listen() -> Result<Signals> {
    let wanted = ENDING.into_iter().filter(|&signal| signal != SIGHUP || !sys::is_ignored(signal));
    Signals::new(wanted).context("cannot listen for signals")
}

/// The name of a signal, as the user knows it.
pub(crate) fn name(signal: c_int) -> &'static str {
    match signal {
        SIGINT => "Ctrl-C",
        _ => low_level::signal_name(signal).unwrap_or("a signal"),
    }
}

/// Says something, but waits no more than a second for a terminal that takes nothing.
pub(crate) fn say(words: impl FnOnce() + Send + 'static) {
    let (said, waiting) = mpsc::channel::<()>();
    let spawned = thread::Builder::new().name("last words".to_owned()).spawn(move || {
        words();
        drop(said);
    });
    if spawned.is_ok() {
        let _ = waiting.recv_timeout(Duration::from_secs(1)); // hung up when they are said
    }
}

/// Says something, and ends the process at once.
pub(crate) fn leave(words: impl FnOnce() + Send + 'static) -> ! {
    say(move || {
        terminal::close();
        words();
    });
    low_level::exit(Code::Interrupted as i32);
}

/// What a command that is interrupted leaves behind.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// What is said of it.
    pub words: String,
    /// Folders that it writes to, where files that it has begun are removed.
    pub folders: Vec<PathBuf>,
}

/// Lets the first signal end the process, whatever it does at the time.
///
/// # Errors
///
/// If the system refuses to tell of signals.
pub fn end_at_once(leftovers: Leftovers) -> Result<()> {
    let mut signals = listen()?;
    let wait = move || {
        let signal = signals.forever().next().unwrap_or(SIGTERM);
        leftovers.folders.iter().for_each(|folder| remove_unfinished(folder));
        leave(move || tracing::warn!("ended by {}: {}", name(signal), leftovers.words));
    };
    let spawned = thread::Builder::new().name("signals".to_owned()).spawn(wait);
    spawned.map(drop).context("cannot start the thread `signals`")
}

/// How the names of files end that this process has not finished yet.
pub(crate) fn unfinished_suffix() -> String {
    format!(".{}.tmp", process::id())
}

/// Removes files that bear such names.
fn remove_unfinished(folder: &Path) {
    let suffix = unfinished_suffix();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(&suffix)) {
        let _ = fs::remove_file(entry.path()); // what cannot be removed says by its name what it is
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_files_of_this_process_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let ours = format!(".train-000.tar{}", unfinished_suffix());
        for name in [ours.as_str(), ".train-000.tar.1.tmp", "train-000.tar"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(folder.path());
        let left = |name: &str| folder.path().join(name).exists();
        assert!(!left(&ours) && left("train-000.tar"));
        assert_eq!(left(".train-000.tar.1.tmp"), process::id() != 1);
    }
}
