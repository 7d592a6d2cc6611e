//! The checks of the run folder.

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

/// The size of the file that is written to try the folder.
const BYTES: usize = 4_000_000;
/// The seconds above which writing that file is slow.
const SLOW: f64 = 5.0;
/// The free bytes below which the first checkpoints of a run do not fit, and below which later ones do not.
const SPACE: [u64; 2] = [1 << 29, 10 << 30];
/// The free inodes below which the same holds. A checkpoint takes four.
const INODES: [u64; 2] = [64, 4096];

/// The results of the checks of a run folder.
pub(super) struct FolderChecks {
    pub(super) checks: Vec<Check>,
    /// The seconds by which the clock that dates the folder's files is ahead of this machine's; none if no
    /// file could be written.
    pub(super) clock_ahead: Option<f64>,
}

/// Checks space, writing, locks and links in a folder. Creates it if it does not exist, and removes it again.
pub(super) fn check(out: &Path) -> FolderChecks {
    let mut checks = space(out);
    let tried = try_folder(out).unwrap_or_else(|unwritable| unwritable.report());
    checks.extend(tried.checks);
    FolderChecks { checks, ..tried }
}

/// Writes to the folder and locks a file in it.
fn try_folder(out: &Path) -> Result<FolderChecks, Unwritable> {
    let _created = CreatedFolders::create(out)?;
    let trial = Trial::make(out).map_err(|error| Unwritable { path: out.to_owned(), error })?;
    let checks = vec![trial.check(), locks(trial.locks), links(files::check_links(out))];
    Ok(FolderChecks { checks, clock_ahead: trial.clock_ahead })
}

/// A folder that cannot be written to, with the reason.
struct Unwritable {
    path: PathBuf,
    error: io::Error,
}

impl Unwritable {
    /// Returns the results of the checks that need to write.
    fn report(&self) -> FolderChecks {
        let found = format!("cannot write to `{}`: {}", self.path.display(), self.error);
        let cure = "name another folder with --out, or check its permissions, free space and mount";
        let untried = |name| Check::warn(name, "not tried: the folder cannot be written to", cure);
        let checks = vec![Check::bad("write", found, cure), untried("lock"), untried("links")];
        FolderChecks { checks, clock_ahead: None }
    }
}

/// Creates the folder for the time until the result is dropped, so that several processes can check it meanwhile.
pub(super) fn hold(out: &Path) -> Option<CreatedFolders> {
    CreatedFolders::create(out).ok()
}

/// Folders that were created for the trial. They are removed on drop.
pub(super) struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    /// Creates the missing folders of a path.
    fn create(out: &Path) -> Result<Self, Unwritable> {
        let missing: Vec<_> = out.ancestors().take_while(|path| !exists(path)).map(Path::to_owned).collect();
        let mut created = Self(Vec::new());
        for path in missing.into_iter().rev() {
            match fs::create_dir(&path) {
                Ok(()) => created.0.push(path),
                Err(_) if path.is_dir() => {} // by another process, on another machine perhaps
                Err(error) => return Err(Unwritable { path, error }),
            }
        }
        Ok(created)
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path); // fails, as it should, if another process has put files there meanwhile
        }
    }
}

/// Returns whether a path exists, even as a broken link. The empty path, the current folder, does.
fn exists(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.symlink_metadata().is_ok()
}

/// Checks free bytes and inodes of the file system where the folder is or would be created.
fn space(out: &Path) -> Vec<Check> {
    match files::system_of(out) {
        Ok(stat) => vec![bytes(&stat), inodes(&stat)],
        Err(error) => {
            let found = format!("cannot read the free space of `{}`: {error}", out.display());
            vec![Check::bad(
                "disk",
                found,
                "check that the disk is mounted, or name another folder with --out",
            )]
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
    let cure = "free space, or keep fewer checkpoints (--keep, --keep-every); a checkpoint takes 12 bytes a parameter, \
                and `amdim-stream plan` prints the number of parameters";
    grade("disk", free, SPACE, found, cure)
}

fn inodes(stat: &StatVfs) -> Check {
    if stat.f_files == 0 {
        return Check::ok("inodes", "not limited");
    }
    let found = format!("{} free of {}", stat.f_favail, stat.f_files);
    grade("inodes", stat.f_favail, INODES, found, "remove files that are not needed, or use another disk")
}

/// Returns a check that is bad below the first bound and a warning below the second.
fn grade(name: &'static str, free: u64, [bad, low]: [u64; 2], found: String, cure: &str) -> Check {
    match free {
        free if free < bad => Check::bad(name, found, cure),
        free if free < low => Check::warn(name, found, cure),
        _ => Check::ok(name, found),
    }
}

/// A trial of the folder with a file that is written like a checkpoint.
struct Trial {
    seconds: f64,
    clock_ahead: Option<f64>,
    locks: Locks,
}

impl Trial {
    /// Writes, syncs, renames, reads and locks a file in a temporary folder.
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
            return Err(io::Error::other("the file that was read differs from the one that was written"));
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

/// Returns the seconds by which a time is ahead of now.
fn ahead(time: SystemTime) -> f64 {
    match SystemTime::now().duration_since(time) {
        Ok(past) => -past.as_secs_f64(),
        Err(future) => future.duration().as_secs_f64(),
    }
}

/// The result of locking a file twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locks {
    /// The second lock was refused, as it should be.
    Hold,
    /// Both locks were granted.
    DoNotHold,
    /// The file system has no locks.
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
    let cure = "start only one run at a time in this folder, or put --out on a disk with locks (NFS: without `nolock`)";
    match locks {
        Locks::Hold => Check::ok("lock", "a second process would be refused"),
        Locks::DoNotHold => {
            Check::warn("lock", "locks are granted twice: a second run would not be refused", cure)
        }
        Locks::Refused(error) => {
            Check::warn("lock", format!("no locks here ({error}): a second run would not be refused"), cure)
        }
    }
}

/// Checks symbolic links, which runs with `--best` or `--promote` need.
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
    fn a_folder_that_did_not_exist_is_removed_and_one_that_did_stays_empty() {
        let place = tempfile::tempdir().unwrap();
        let (deep, existing) = (place.path().join("a/b/c"), place.path().join("existing"));
        fs::create_dir(&existing).unwrap();
        for out in [&deep, &existing] {
            let FolderChecks { clock_ahead, checks } = check(out);
            let names: Vec<_> = checks.iter().map(|check| &*check.name).collect();
            assert_eq!(names, ["disk", "inodes", "write", "lock", "links"]);
            assert_ne!(checks[2].state, State::Bad, "{checks:?}");
            assert!(clock_ahead.is_some());
        }
        assert!(!place.path().join("a").exists());
        assert_eq!(fs::read_dir(existing).unwrap().count(), 0);
    }

    #[test]
    fn little_space_is_a_warning_and_less_is_bad() {
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
