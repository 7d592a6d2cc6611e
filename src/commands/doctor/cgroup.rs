//! What control groups leave to this process, of version 1 and 2.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where Linux shows them.
const MOUNT: &str = "/sys/fs/cgroup";

/// Limits of the control groups that this process is in, those around them included.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Cores' worth of time; none where it is not limited.
    pub(super) cpus: Option<f64>,
    /// The limit of memory that leaves least.
    pub(super) memory: Option<Memory>,
}

/// A limit of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// Bytes that may be taken.
    pub(super) limit: u64,
    /// Bytes that are taken and cannot be dropped: pages of files that are not in use are not counted.
    pub(super) taken: u64,
    /// Whether who takes more is slowed down (`memory.high`), not ended.
    pub(super) slows: bool,
}

impl Memory {
    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.taken)
    }
}

impl Limits {
    /// Those of this process.
    pub(super) fn found() -> Self {
        Self::read(Path::new(MOUNT), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    /// Those of a process with this `/proc/PID/cgroup`.
    fn read(mount: &Path, membership: &str) -> Self {
        let mut limits = Self::default();
        for (controllers, path) in membership.lines().filter_map(group) {
            let base = match controllers {
                "" if mount.join("unified").is_dir() => mount.join("unified"),
                "" => mount.to_owned(),
                _ => mount.join(controllers),
            };
            let has = |name: &str| controllers.is_empty() || controllers.split(',').any(|part| part == name);
            for level in levels(&base, path) {
                if has("cpu") {
                    limits.cpus = cpus(&level).into_iter().chain(limits.cpus).reduce(f64::min);
                }
                if has("memory") {
                    let all = memory(&level).into_iter().chain(limits.memory);
                    limits.memory = all.min_by_key(Memory::left);
                }
            }
        }
        limits
    }
}

/// Controllers (none: version 2) and path of a line such as `4:cpu,cpuacct:/user`.
fn group(line: &str) -> Option<(&str, &str)> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    Some((controllers, path.trim_start_matches('/')))
}

/// The folders of a group and of those around it. A container sees its own as the topmost, whatever its path.
fn levels(base: &Path, path: &str) -> Vec<PathBuf> {
    let own = base.join(path);
    own.ancestors()
        .take_while(|level| level.starts_with(base))
        .filter(|level| level.is_dir())
        .map(Path::to_owned)
        .collect()
}

/// Cores' worth of time by a group's own files.
fn cpus(level: &Path) -> Option<f64> {
    if let Ok(text) = fs::read_to_string(level.join("cpu.max")) {
        let (quota, period) = text.trim().split_once(' ')?;
        return quotient(quota, period);
    }
    let read = |name| fs::read_to_string(level.join(name)).ok();
    quotient(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

/// Time of so many microseconds in each period; none for `max` and -1, which are no limit.
fn quotient(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// The limit of memory by a group's own files.
fn memory(level: &Path) -> Option<Memory> {
    let read = |name| fs::read_to_string(level.join(name)).ok();
    let number = |name| bytes(&read(name)?);
    let stat = read("memory.stat").unwrap_or_default();
    let taken = |usage: u64, key| usage.saturating_sub(counter(&stat, key).unwrap_or(0));
    if let Some(usage) = number("memory.current") {
        let taken = taken(usage, "inactive_file");
        let hard = number("memory.max").map(|limit| Memory { limit, taken, slows: false });
        let soft = number("memory.high").map(|limit| Memory { limit, taken, slows: true });
        return soft.into_iter().chain(hard).min_by_key(|memory| memory.limit);
    }
    let (usage, limit) = (number("memory.usage_in_bytes")?, number("memory.limit_in_bytes")?);
    Some(Memory { limit, taken: taken(usage, "total_inactive_file"), slows: false })
}

/// A number of bytes; none for `max`, and for what version 1 has in its place.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes < 1 << 60)
}

/// A counter of a `memory.stat`.
fn counter(stat: &str, key: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn version_2_counts_the_tightest_of_all_groups_around() {
        let root = tree(&[
            ("cpu.max", "max 100000\n"),
            ("a/cpu.max", "250000 100000\n"),
            ("a/memory.max", "8000\n"),
            ("a/memory.high", "max\n"),
            ("a/memory.current", "5000\n"),
            ("a/memory.stat", "anon 3000\ninactive_file 1500\n"),
            ("a/b/cpu.max", "max 100000\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/memory.high", "6000\n"),
            ("a/b/memory.current", "1000\n"),
        ]);
        let limits = Limits::read(root.path(), "0::/a/b\n");
        assert_eq!(limits.cpus, Some(2.5));
        let memory = limits.memory.unwrap();
        assert_eq!(memory, Memory { limit: 8000, taken: 3500, slows: false });
        assert_eq!(memory.left(), 4500);
        let own = Limits::read(&root.path().join("a/b"), "0::/\n").memory.unwrap();
        assert_eq!((own.left(), own.slows), (5000, true));
    }

    #[test]
    fn version_1_has_a_folder_for_each_controller() {
        let root = tree(&[
            ("cpu,cpuacct/job/cpu.cfs_quota_us", "150000\n"),
            ("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"),
            ("memory/job/memory.limit_in_bytes", "9000\n"),
            ("memory/job/memory.usage_in_bytes", "4000\n"),
            ("memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 1000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.usage_in_bytes", "5000\n"),
        ]);
        let limits = Limits::read(root.path(), "5:cpu,cpuacct:/job\n4:memory:/job\n3:cpuset:/\n");
        assert_eq!(limits.cpus, Some(1.5));
        assert_eq!(limits.memory.unwrap(), Memory { limit: 9000, taken: 3000, slows: false });
    }

    #[test]
    fn a_container_that_does_not_see_its_own_path_looks_at_the_top() {
        let root = tree(&[("cpu.max", "50000 100000\n")]);
        assert_eq!(Limits::read(root.path(), "0::/kubepods/pod1/box\n").cpus, Some(0.5));
    }

    #[test]
    fn where_nothing_is_limited_there_is_no_limit() {
        let root = tree(&[("cpu/cpu.cfs_quota_us", "-1\n"), ("cpu/cpu.cfs_period_us", "100000\n")]);
        assert_eq!(Limits::read(root.path(), "1:cpu:/\n0::/\n"), Limits::default());
        assert_eq!(Limits::read(root.path(), "nonsense\n"), Limits::default());
    }
}
