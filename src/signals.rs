//! Signals that ask the process to end: from the keyboard, from a terminal that is closed, or from the
//! system.

use std::{
    ffi::c_int,
    fs,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
    low_level,
};

use crate::{exit::Code, terminal};

/// The signals that end the process. Slurm can be told to send SIGUSR1 before the time of a job is over.
const ENDING: [c_int; 5] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];

/// Whether a signal is about to end the process.
static IS_LEAVING: AtomicBool = AtomicBool::new(false);

/// Starts to listen for signals. Signals that were ignored at the start stay ignored: SIGHUP under `nohup`,
/// and SIGINT of a command in the background of a script (`&`).
///
/// # Errors
///
/// If the system refuses.
pub(crate) fn listen() -> Result<Signals> {
    let wanted = ENDING.into_iter().filter(|&signal| !torchkit::is_ignored(signal));
    Signals::new(wanted).context("cannot listen for signals")
}

/// Returns the name of a signal as users know it.
pub(crate) fn name(signal: c_int) -> &'static str {
    match signal {
        SIGINT => "Ctrl-C",
        _ => low_level::signal_name(signal).unwrap_or("a signal"),
    }
}

/// Calls `words`, which writes a message, and waits for it no longer than a second: a terminal may be
/// blocked.
pub(crate) fn say(words: impl FnOnce() + Send + 'static) {
    let (said, waiting) = mpsc::channel::<()>();
    let spawned = thread::Builder::new().name("last words".to_owned()).spawn(move || {
        words();
        drop(said);
    });
    if spawned.is_ok() {
        let _ = waiting.recv_timeout(Duration::from_secs(1)); // disconnected when the message is written
    }
}

/// Ends the process after calling `words`, which writes a message, and then `last`.
pub(crate) fn leave(words: impl FnOnce() + Send + 'static, last: impl FnOnce()) -> ! {
    IS_LEAVING.store(true, SeqCst);
    say(move || {
        terminal::close();
        words();
    });
    last();
    low_level::exit(Code::Interrupted as i32);
}

/// Blocks forever if a signal is ending the process, so that a result is not printed any more. Returns
/// immediately otherwise.
pub fn wait_where_leaving() {
    while IS_LEAVING.load(SeqCst) {
        thread::park();
    }
}

/// The traces of an interrupted command.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// The message to the user.
    pub words: String,
    /// The folders to which it writes, in which unfinished files and folders are removed.
    pub folders: Vec<PathBuf>,
}

/// Makes the first signal end the process immediately.
///
/// # Errors
///
/// If the system refuses to listen for signals.
pub fn end_at_once(leftovers: Leftovers) -> Result<()> {
    let mut signals = listen()?;
    let wait = move || {
        let signal = signals.forever().next().unwrap_or(SIGTERM);
        let Leftovers { words, folders } = leftovers;
        // Removed last, as other threads write until the process ends.
        let last = || folders.iter().for_each(|folder| remove_unfinished(folder));
        leave(move || tracing::warn!("ended by {}: {words}", name(signal)), last);
    };
    let spawned = thread::Builder::new().name("signals".to_owned()).spawn(wait);
    spawned.map(drop).context("cannot start the thread `signals`")
}

/// Removes unfinished files and folders of this process, repeatedly as long as other threads make new ones.
fn remove_unfinished(folder: &Path) {
    const TIMES: usize = 100;
    let suffix = shards::unfinished_suffix();
    let remove = || {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(suffix));
        let paths: Vec<_> = ours.map(|entry| entry.path()).collect();
        for path in &paths {
            // A file that cannot be removed is recognized by its name.
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
        }
        paths.is_empty()
    };
    let _ = (0..TIMES).any(|_| remove());
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::Parser;

    use super::*;
    use crate::{cli::Cli, files::Partial};

    #[test]
    fn only_unfinished_files_of_this_process_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let ours = format!(".train-000.tar{}", shards::unfinished_suffix());
        // The name of a process with the same id in another container.
        let other = format!(".train-000.tar.{}-0123456789abcdef.tmp", std::process::id());
        for name in [&ours, &other, "train-000.tar"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(folder.path());
        let left = |name: &str| folder.path().join(name).exists();
        assert!(!left(&ours) && left(&other) && left("train-000.tar"));
    }

    /// Each command writes under another name until its output is complete.
    #[test]
    fn unfinished_output_of_an_interrupted_command_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let out = folder.join("out.png");
        for (command, other, begun) in [
            ("export", ["--checkpoint", "run"], out.clone()),
            ("show", ["--run=run", "--sample=cat/1"], out.clone()),
            ("import", ["x.pth", "--preset=c10"], folder.join("import/config.toml")),
            ("embed", ["--checkpoint=run", "--shards=x.tar"], folder.join("x.parquet")),
            ("pack", ["images", "--no-labels"], folder.join("classes.txt")),
            ("synth", ["--count=9", "--side=32"], folder.join("train-0.tar")),
        ] {
            let is_file = matches!(command, "export" | "show");
            let to = if is_file { &*out } else { folder };
            let typed = ["amdim-stream", command].into_iter().chain(other).chain(["--out"]).map(OsStr::new);
            let cli =
                Cli::try_parse_from(typed.chain([to.as_os_str()])).unwrap_or_else(|error| panic!("{error}"));
            let beside = |path: &Path| Partial::beside(path).unwrap().path().to_owned();
            let unfinished = match begun.strip_prefix(folder.join("import")) {
                Ok(inside) => beside(&folder.join("import")).join(inside),
                Err(_) => beside(&begun),
            };
            fs::create_dir_all(unfinished.parent().unwrap()).unwrap();
            fs::write(&unfinished, "cut").unwrap();
            cli.command.unwrap().leftovers().folders.iter().for_each(|folder| remove_unfinished(folder));
            assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{command}");
        }
    }
}
