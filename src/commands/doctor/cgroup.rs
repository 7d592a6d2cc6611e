//! Limits of control groups, version 1 and 2.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder where Linux mounts control groups.
const MOUNT: &str = "/sys/fs/cgroup";

/// The limits of the control groups of this process and of their ancestors.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// The CPU quota in cores; none if it is not limited.
    pub(super) cpus: Option<f64>,
    /// The memory limit that leaves the least.
    pub(super) memory: Option<Memory>,
}

/// A memory limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// The limit in bytes.
    pub(super) limit: u64,
    /// The bytes in use that cannot be reclaimed. Inactive pages of files do not count.
    pub(super) taken: u64,
    /// Whether a process above the limit is slowed down (`memory.high`) instead of killed.
    pub(super) slows: bool,
}

impl Memory {
    /// Returns the bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.taken)
    }
}

impl Limits {
    /// Reads the limits of this process.
    pub(super) fn read() -> Self {
        Self::of(Path::new(MOUNT), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    /// Reads the limits of a process with this text in `/proc/PID/cgroup`.
    fn of(mount: &Path, membership: &str) -> Self {
        let mut limits = Self::default();
        for group in membership.lines().filter_map(Group::parse) {
            for level in levels(&group.base(mount), group.path) {
                if group.has("cpu") {
                    limits.cpus = cpus(&level).into_iter().chain(limits.cpus).reduce(f64::min);
                }
                if group.has("memory") {
                    let all = memory(&level).into_iter().chain(limits.memory);
                    limits.memory = all.min_by_key(Memory::left);
                }
            }
        }
        limits
    }
}

/// A line of `/proc/PID/cgroup`, such as `4:cpu,cpuacct:/user`.
struct Group<'a> {
    /// The controllers of version 1, separated by commas; empty for version 2, which has all of them.
    controllers: &'a str,
    path: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        Some(Self { controllers, path: path.trim_start_matches('/') })
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.is_empty() || self.controllers.split(',').any(|part| part == controller)
    }

    /// Returns the folder that the paths of groups are relative to.
    fn base(&self, mount: &Path) -> PathBuf {
        match self.controllers {
            "" if mount.join("unified").is_dir() => mount.join("unified"),
            "" => mount.to_owned(),
            controllers => mount.join(controllers),
        }
    }
}

/// Returns the folders of a group and of its ancestors. A container sees its own group as the root, whatever
/// the path.
fn levels(base: &Path, path: &str) -> Vec<PathBuf> {
    let own = base.join(path);
    own.ancestors()
        .take_while(|level| level.starts_with(base))
        .filter(|level| level.is_dir())
        .map(Path::to_owned)
        .collect()
}

/// Reads the CPU quota of a group, in cores.
fn cpus(level: &Path) -> Option<f64> {
    if let Ok(text) = fs::read_to_string(level.join("cpu.max")) {
        let (quota, period) = text.trim().split_once(' ')?;
        return quotient(quota, period);
    }
    let read = |name| fs::read_to_string(level.join(name)).ok();
    quotient(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

/// Returns the quota divided by the period; none for `max` and -1, which mean no limit.
fn quotient(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// Reads the memory limit of a group.
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

/// Parses a number of bytes; none for `max`, and for the huge number that means no limit in version 1.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes < 1 << 60)
}

/// Returns a counter in the text of `memory.stat`.
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
    fn version_2_applies_the_tightest_limit_of_a_group_and_its_ancestors() {
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
        let limits = Limits::of(root.path(), "0::/a/b\n");
        assert_eq!(limits.cpus, Some(2.5));
        let memory = limits.memory.unwrap();
        assert_eq!(memory, Memory { limit: 8000, taken: 3500, slows: false });
        assert_eq!(memory.left(), 4500);
        let own = Limits::of(&root.path().join("a/b"), "0::/\n").memory.unwrap();
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
        let limits = Limits::of(root.path(), "5:cpu,cpuacct:/job\n4:memory:/job\n3:cpuset:/\n");
        assert_eq!(limits.cpus, Some(1.5));
        assert_eq!(limits.memory.unwrap(), Memory { limit: 9000, taken: 3000, slows: false });
    }

    #[test]
    fn a_container_that_does_not_see_its_own_path_reads_the_root_group() {
        let root = tree(&[("cpu.max", "50000 100000\n")]);
        assert_eq!(Limits::of(root.path(), "0::/kubepods/pod1/box\n").cpus, Some(0.5));
    }

    #[test]
    fn groups_without_limits_limit_nothing() {
        let root = tree(&[("cpu/cpu.cfs_quota_us", "-1\n"), ("cpu/cpu.cfs_period_us", "100000\n")]);
        assert_eq!(Limits::of(root.path(), "1:cpu:/\n0::/\n"), Limits::default());
        assert_eq!(Limits::of(root.path(), "nonsense\n"), Limits::default());
    }
}
