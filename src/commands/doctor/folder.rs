//! Whether the run folder can hold a run.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use indicatif::DecimalBytes;
use rustix::{
    fs::{FlockOperation, StatVfs, flock},
    io::Errno,
};

use crate::commands::doctor::check::Check;
use crate::files;

/// What is written to try the folder.
const BYTES: usize = 4_000_000;
/// Seconds that writing this may take.
const SLOW: f64 = 5.0;
/// Free bytes below which a run is cut short by its first checkpoints, and below which by later ones.
const SPACE: [u64; 2] = [1 << 29, 10 << 30];
/// Free inodes; a checkpoint takes four.
const INODES: [u64; 2] = [64, 4096];

/// Space, a written file and a lock in this folder, which is made for it where there is none; and by how many seconds the
/// clock that dates its files is ahead of this machine's.
pub(super) fn checks(out: &Path) -> (Option<f64>, Vec<Check>) {
    let mut checks = space(out);
    let made = Made::new(out);
    match made
        .as_ref()
        .map_err(|(path, error)| (path.clone(), error.to_string()))
        .and_then(|_| Trial::make(out).map_err(|error| (out.to_owned(), error.to_string())))
    {
        Ok(trial) => {
            checks.extend([trial.check(), locks(trial.locks), links(files::check_links(out))]);
            (trial.clock_ahead, checks)
        }
        Err((path, error)) => {
            let found = format!("cannot write to `{}`: {error}", path.display());
            let cure = "name another folder with --out, or check its permissions, free space and mount";
            checks.push(Check::bad("write", found, cure));
            for name in ["lock", "links"] {
                checks.push(Check::warn(name, "not tried: the folder cannot be written to", cure));
            }
            (None, checks)
        }
    }
}

/// Folders that were made to try one, and go again.
struct Made(Vec<PathBuf>);

impl Made {
    /// Makes what is missing of a path; or which part could not be made, and why.
    fn new(out: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let missing: Vec<_> =
            out.ancestors().take_while(|path| !is_there(path)).map(Path::to_owned).collect();
        let mut made = Self(Vec::new());
        for path in missing.into_iter().rev() {
            fs::create_dir(&path).map_err(|error| (path.clone(), error))?;
            made.0.push(path);
        }
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path); // one that somebody else uses meanwhile is not empty, and stays
        }
    }
}

/// Whether something is there; what an empty path means, always is.
fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.symlink_metadata().is_ok()
}

/// Free bytes and inodes where the folder lies or would lie.
fn space(out: &Path) -> Vec<Check> {
    match files::system_of(out) {
        Ok(stat) => vec![bytes(&stat), inodes(&stat)],
        Err(error) => {
            let found = format!("cannot ask `{}`: {error}", out.display());
            vec![Check::bad("disk", found, "see that the disk is mounted, or name another folder with --out")]
        }
    }
}

fn bytes(stat: &StatVfs) -> Check {
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!(
        "{} free of {}",
        DecimalBytes(free),
        DecimalBytes(stat.f_blocks.saturating_mul(stat.f_frsize))
    );
    let cure = "make room, or keep fewer checkpoints (--keep, --keep-every); a checkpoint takes 12 bytes a parameter, \
                whose number `amdim-stream plan` tells";
    grade("disk", free, SPACE, found, cure)
}

fn inodes(stat: &StatVfs) -> Check {
    if stat.f_files == 0 {
        return Check::ok("inodes", "not limited");
    }
    let found = format!("{} free of {}", stat.f_favail, stat.f_files);
    grade("inodes", stat.f_favail, INODES, found, "remove files that are not needed, or use another disk")
}

/// Bad below the first bound, a warning below the second.
fn grade(name: &'static str, free: u64, [bad, low]: [u64; 2], found: String, cure: &str) -> Check {
    match free {
        free if free < bad => Check::bad(name, found, cure),
        free if free < low => Check::warn(name, found, cure),
        _ => Check::ok(name, found),
    }
}

/// A file written to the folder the way checkpoints are.
struct Trial {
    seconds: f64,
    clock_ahead: Option<f64>,
    locks: Locks,
}

impl Trial {
    /// Writes, syncs, renames, reads and locks a file in a folder of its own, which is gone afterwards.
    fn make(out: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(".doctor-")
            .suffix(shards::unfinished_suffix())
            .tempdir_in(out)?;
        let path = folder.path().join("whole");
        let content: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        let start = Instant::now();
        files::replace(&path, &content)?;
        let seconds = start.elapsed().as_secs_f64();
        if fs::read(&path)? != content {
            return Err(io::Error::other("what is read is not what was written"));
        }
        let clock_ahead = path.metadata()?.modified().ok().map(ahead);
        let locks = Locks::try_on(&path)?;
        folder.close()?;
        Ok(Self { seconds, clock_ahead, locks })
    }

    fn check(&self) -> Check {
        let Self { seconds, .. } = self;
        let found = format!(
            "{} written, synced and renamed in {:.0} ms",
            DecimalBytes(BYTES as u64),
            1000.0 * seconds
        );
        if *seconds > SLOW {
            let cure =
                "training waits for each checkpoint: put --out on a faster disk, or raise --checkpoint-every";
            return Check::warn("write", found, cure);
        }
        Check::ok("write", found)
    }
}

/// Seconds by which a time is ahead of now.
fn ahead(time: SystemTime) -> f64 {
    let now = SystemTime::now();
    now.duration_since(time).map_or_else(|early| early.duration().as_secs_f64(), |late| -late.as_secs_f64())
}

/// What locking a file twice came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locks {
    /// The second was refused, as it should be.
    Hold,
    /// Both were given.
    DoNotHold,
    /// There are none.
    Refused(Errno),
}

impl Locks {
    fn try_on(path: &Path) -> io::Result<Self> {
        let (first, second) =
            (File::options().append(true).open(path)?, File::options().append(true).open(path)?);
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        Ok(match (flock(&first, exclusive), flock(&second, exclusive)) {
            (Ok(()), Err(Errno::WOULDBLOCK)) => Self::Hold,
            (Ok(()), Ok(())) => Self::DoNotHold,
            (Err(error), _) | (Ok(()), Err(error)) => Self::Refused(error),
        })
    }
}

fn locks(locks: Locks) -> Check {
    let cure = "start one run at a time in this folder by yourself, or put --out on a disk with locks (NFS: without `nolock`)";
    match locks {
        Locks::Hold => Check::ok("lock", "a second process would be refused"),
        Locks::DoNotHold => {
            Check::warn("lock", "locks are given but do not hold: a second run is not refused", cure)
        }
        Locks::Refused(error) => {
            Check::warn("lock", format!("no locks here ({error}): a second run is not refused"), cure)
        }
    }
}

/// A run with `--best` or `--promote` needs them.
fn links(made: io::Result<()>) -> Check {
    match made {
        Ok(()) => Check::ok("links", "symbolic links can be made"),
        Err(error) => Check::warn(
            "links",
            format!("no symbolic links here ({error}): a run with --best or --promote is refused"),
            "put --out on a file system that has them, or train without --best and --promote",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn a_folder_that_was_not_there_is_gone_again_and_one_that_was_stays_empty() {
        let place = tempfile::tempdir().unwrap();
        let (deep, there) = (place.path().join("a/b/c"), place.path().join("there"));
        fs::create_dir(&there).unwrap();
        for out in [&deep, &there] {
            let (clock_ahead, checks) = checks(out);
            let names: Vec<_> = checks.iter().map(|check| check.name).collect();
            assert_eq!(names, ["disk", "inodes", "write", "lock", "links"]);
            assert_ne!(checks[2].state, State::Bad, "{checks:?}");
            assert!(clock_ahead.is_some());
        }
        assert!(!place.path().join("a").exists());
        assert_eq!(fs::read_dir(there).unwrap().count(), 0);
    }

    #[test]
    fn little_space_warns_and_hardly_any_is_bad() {
        let state = |free| grade("disk", free, [10, 100], String::new(), "").state;
        assert_eq!([9, 10, 99, 100].map(state), [State::Bad, State::Warn, State::Warn, State::Ok]);
    }

    #[test]
    fn a_lock_that_does_not_hold_is_a_warning() {
        assert_eq!(locks(Locks::Hold).state, State::Ok);
        assert_eq!(locks(Locks::DoNotHold).state, State::Warn);
        assert!(locks(Locks::Refused(Errno::NOLCK)).found.contains("No locks"));
    }
}
