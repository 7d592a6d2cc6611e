//! Makes system calls of a child fail, by `shim.c`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The shim, compiled.
#[derive(Debug)]
pub(crate) struct Shim(TempDir);

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing<'a> {
    /// Names of calls, separated by commas.
    pub(crate) calls: &'a str,
    /// Part of the path that they are for.
    pub(crate) files: &'a str,
    /// What they fail with.
    pub(crate) errno: i32,
    /// The first one to fail, from 1 on.
    pub(crate) first: usize,
    /// And every n-th after it, for this n; 0 for none.
    pub(crate) every: usize,
}

impl<'a> Failing<'a> {
    /// None of these calls, which are counted only.
    pub(crate) fn none(calls: &'a str, files: &'a str) -> Self {
        Self { calls, files, errno: EIO, first: usize::MAX >> 1, every: 0 }
    }
}

pub(crate) const EPERM: i32 = 1;
pub(crate) const EIO: i32 = 5;
pub(crate) const EFAULT: i32 = 14;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EOPNOTSUPP: i32 = 95;

impl Shim {
    pub(crate) fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(this.library());
        let output = compiler.arg(source).arg("-ldl").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        this
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("shim.so")
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }

    /// Lets calls of the command fail, and begins a new log.
    pub(crate) fn on<'a>(&self, command: &'a mut Command, failing: Failing<'_>) -> &'a mut Command {
        drop(fs::remove_file(self.log()));
        let Failing { calls, files, errno, first, every } = failing;
        command.env("LD_PRELOAD", self.library()).env("FAULTS_LOG", self.log());
        command.env("FAULTS_CALLS", calls).env("FAULTS_FILES", files).env("FAULTS_ERRNO", errno.to_string());
        command.env("FAULTS_FIRST", first.to_string()).env("FAULTS_EVERY", every.to_string())
    }

    /// The calls that failed, each with its path; and how many there were of those that might have.
    pub(crate) fn failed(&self) -> (Vec<(String, String)>, usize) {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let total =
            lines.iter().find(|(call, _)| *call == "total").map_or(0, |(_, total)| total.parse().unwrap());
        let own = |(call, path): &(&str, &str)| ((*call).to_owned(), (*path).to_owned());
        (lines.iter().filter(|(call, _)| *call != "total").map(own).collect(), total)
    }
}
