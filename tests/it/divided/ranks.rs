//! The program in several processes on this machine.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use crate::support::{Said, run};

/// Held while processes run. One group at a time: another one could be given the same port before it is used.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a command in `size` processes and returns what each has said, by rank. `make` makes the command of a rank.
pub(super) fn together(size: usize, make: impl Fn(usize) -> Command) -> Vec<Said> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |rank: usize| {
        let mut command = make(rank);
        command.env("OMP_NUM_THREADS", "1");
        if size > 1 {
            command
                .env("RANK", rank.to_string())
                .env("WORLD_SIZE", size.to_string())
                .env("MASTER_ADDR", "127.0.0.1")
                .env("MASTER_PORT", port.to_string());
        }
        command.stdin(Stdio::null());
        thread::spawn(move || run(&mut command))
    };
    let ranks: Vec<_> = (0..size).map(start).collect();
    let said: Vec<_> = ranks.into_iter().map(|rank| rank.join().unwrap()).collect();
    for (rank, other) in said.iter().enumerate().skip(1) {
        assert_eq!(other.stdout, "", "rank {rank} prints results: {}", other.stderr);
    }
    said
}

/// Runs a command in `size` processes that end with `code`. Returns what the lead has said; the others are silent.
pub(super) fn lead_of(size: usize, code: i32, make: impl Fn() -> Command) -> Said {
    let mut said = together(size, |_| make());
    for (rank, said) in said.iter().enumerate() {
        assert_eq!(said.code, Some(code), "rank {rank} of {size}: {}", said.stderr);
        assert!(rank == 0 || said.stderr.is_empty(), "rank {rank} of {size}: {}", said.stderr);
    }
    said.swap_remove(0)
}

/// Returns the bytes of all files in a folder, by name.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let file =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    entries.map(file).collect()
}
