//! The checks of cores, memory and limits of the process.

use std::{env, fs};

use indicatif::DecimalBytes;
use rustix::process::{Resource, Rlimit, getrlimit};
use tch::Device;

use crate::commands::doctor::{
    cgroup::{Limits, Memory},
    check::Check,
};
use crate::data;

/// The free bytes below which hardly any run fits into memory, and below which large runs do not.
const MEMORY: [u64; 2] = [1 << 29, 4 << 30];
/// The open files of a run in addition to one for each thread that indexes shards. On two cores, with 16 such
/// threads, a run fails with a limit of 24 and succeeds with 28.
const FILES: u64 = 12;
/// The open files that are enough for a run on a GPU, too.
const AMPLE_FILES: u64 = 256;

/// Makes all checks of the host for a run on `device`.
pub(super) fn checks(device: Device) -> Vec<Check> {
    let limits = Limits::read();
    let cores = data::cores();
    vec![
        cpu(cores, online(), limits.cpus),
        threads(cores, |name| env::var(name).ok()),
        memory(torchkit::free_memory(None), limits.memory),
        locked_memory(device, getrlimit(Resource::Memlock)),
        files(cores, getrlimit(Resource::Nofile)),
        sizes(getrlimit(Resource::As), getrlimit(Resource::Fsize)),
    ]
}

/// Returns the number of the machine's cores.
fn online() -> Option<usize> {
    listed(fs::read_to_string("/sys/devices/system/cpu/online").ok()?.trim())
}

/// Returns the number of cores in a list such as `0-3,8`.
fn listed(list: &str) -> Option<usize> {
    let range = |part: &str| -> Option<usize> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then(|| last - first + 1)
    };
    list.split(',').map(range).sum()
}

/// Checks the cores that this process may use.
fn cpu(cores: usize, online: Option<usize>, quota: Option<f64>) -> Check {
    let all = online.map_or_else(String::new, |online| format!(" of {online}"));
    let share =
        quota.map_or_else(String::new, |quota| format!("; a control group allows {quota:.2} at a time"));
    let found = format!("{cores}{all} cores{share}");
    match quota {
        Some(quota) if quota < 1.0 => Check::warn(
            "cpu",
            found,
            "raise the CPU limit, which pauses all threads while it is exceeded (Kubernetes: resources.limits.cpu; systemd: CPUQuota=)",
        ),
        _ => Check::ok("cpu", found),
    }
}

/// Checks the environment variables of OpenMP, which libtorch's threads on the CPU obey.
fn threads(cores: usize, variable: impl Fn(&str) -> Option<String>) -> Check {
    const NAME: &str = "threads";
    if variable("OMP_WAIT_POLICY").is_some_and(|policy| !policy.eq_ignore_ascii_case("passive")) {
        let found = "OMP_WAIT_POLICY lets idle threads spin on the cores that decode";
        return Check::warn(NAME, found, "unset OMP_WAIT_POLICY");
    }
    let Some(text) = variable("OMP_NUM_THREADS") else {
        return Check::ok(NAME, "OMP_NUM_THREADS is not set: a run chooses the number");
    };
    let found = format!("OMP_NUM_THREADS is `{text}`, and there are {cores} cores");
    match text.parse::<usize>() {
        Ok(number) if (1..=cores).contains(&number) => Check::ok(NAME, found),
        _ => Check::warn(NAME, found, "unset OMP_NUM_THREADS, or give --threads"),
    }
}

/// Checks the memory that the machine and the control groups leave.
fn memory(free: Option<u64>, group: Option<Memory>) -> Check {
    const NAME: &str = "memory";
    let left = free.into_iter().chain(group.as_ref().map(Memory::left)).min();
    let Some(left) = left else {
        let found = "neither the kernel nor a control group says how much is free";
        return Check::warn(NAME, found, "check that /proc is mounted");
    };
    let machine = free.map_or_else(|| "?".to_owned(), |free| DecimalBytes(free).to_string());
    let limit = group.map_or_else(String::new, limit_in_words);
    let found = format!("{} free for a run; the machine has {machine}{limit}", DecimalBytes(left));
    let cure = "free some or raise the limit; `amdim-stream plan --gpu` measures the memory of a run, --batch-size, --accumulate \
                and --checkpoint-blocks reduce it";
    match left {
        left if left < MEMORY[0] => Check::bad(NAME, found, cure),
        left if left < MEMORY[1] => Check::warn(NAME, found, cure),
        _ => Check::ok(NAME, found),
    }
}

fn limit_in_words(memory: Memory) -> String {
    let Memory { limit, taken, slows } = memory;
    let kind = if slows { "throttles above" } else { "allows" };
    format!("; a control group {kind} {} ({} in use)", DecimalBytes(limit), DecimalBytes(taken))
}

/// Reports the limit of locked memory. CUDA's pinned memory mostly does not count, so `pinned-memory` makes a
/// trial.
fn locked_memory(device: Device, limit: Rlimit) -> Check {
    let limit = limit
        .current
        .map_or_else(|| "not limited".to_owned(), |bytes| format!("limited to {}", DecimalBytes(bytes)));
    let why = match device {
        Device::Cpu => "not used on the CPU",
        _ => "irrelevant if `pinned-memory` is ok",
    };
    Check::ok("memlock", format!("locked memory is {limit}; {why}"))
}

/// Checks the number of files that may be open.
fn files(cores: usize, limit: Rlimit) -> Check {
    const NAME: &str = "files";
    let needed = FILES + shards::index_threads(cores) as u64;
    let Some(soft) = limit.current else { return Check::ok(NAME, "open files are not limited") };
    let hard = limit
        .maximum
        .map_or_else(|| "there is no hard limit".to_owned(), |hard| format!("the hard limit is {hard}"));
    let found = format!("{soft} files may be open; {hard}");
    let cure = match limit.maximum {
        Some(hard) if hard < AMPLE_FILES => format!(
            "raise the hard limit to {AMPLE_FILES} or more (limits.conf, systemd: LimitNOFILE=, Docker: --ulimit nofile=)"
        ),
        hard => {
            format!(
                "run `ulimit -n {}` before the run (systemd: LimitNOFILE=)",
                hard.unwrap_or(1024).min(1024)
            )
        }
    };
    match soft {
        soft if soft < needed => Check::bad(NAME, format!("{found}; a run needs {needed}"), cure),
        soft if soft < AMPLE_FILES => Check::warn(NAME, found, cure),
        _ => Check::ok(NAME, found),
    }
}

/// Checks the limits of addresses, which mapped shards take, and of the size of files.
fn sizes(addresses: Rlimit, file: Rlimit) -> Check {
    const NAME: &str = "limits";
    let limited: Vec<_> = [("addresses (`ulimit -v`)", addresses), ("the size of files (`ulimit -f`)", file)]
        .into_iter()
        .filter_map(|(what, limit)| Some(format!("{what} to {}", DecimalBytes(limit.current?))))
        .collect();
    if limited.is_empty() {
        return Check::ok(NAME, "neither addresses nor the size of files are limited");
    }
    let cure = "lift them (`ulimit -v unlimited`, `ulimit -f unlimited`): whole shards are mapped, however little of them is in \
                memory, and a checkpoint above the limit cannot be written";
    Check::warn(NAME, format!("limited: {}", limited.join(", ")), cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    fn limit(current: Option<u64>) -> Rlimit {
        Rlimit { current, maximum: Some(4096) }
    }

    #[test]
    fn cores_are_counted_from_ranges() {
        assert_eq!(listed("0"), Some(1));
        assert_eq!(listed("0-3,8,10-11"), Some(7));
        assert_eq!(listed(""), None);
        assert_eq!(listed("3-1"), None);
    }

    #[test]
    fn a_quota_below_one_core_is_a_warning() {
        assert_eq!(cpu(1, Some(64), Some(0.5)).state, State::Warn);
        let check = cpu(2, Some(64), Some(2.5));
        assert_eq!(
            (check.state, check.found.as_str()),
            (State::Ok, "2 of 64 cores; a control group allows 2.50 at a time")
        );
    }

    #[test]
    fn the_lower_limit_of_machine_and_control_group_counts() {
        let group = |limit| Some(Memory { limit, taken: 0, slows: false });
        assert_eq!(memory(Some(64 << 30), None).state, State::Ok);
        assert_eq!(memory(Some(64 << 30), group(2 << 30)).state, State::Warn);
        assert_eq!(memory(Some(64 << 30), group(1 << 28)).state, State::Bad);
        assert_eq!(memory(Some(1 << 28), group(64 << 30)).state, State::Bad);
        assert_eq!(memory(None, None).state, State::Warn);
    }

    #[test]
    fn odd_settings_of_openmp_are_a_warning() {
        let state = |threads: Option<&str>, policy: Option<&str>| {
            let of = |name: &str| if name == "OMP_NUM_THREADS" { threads } else { policy };
            super::threads(4, |name| of(name).map(str::to_owned)).state
        };
        assert_eq!(state(None, Some("passive")), State::Ok);
        assert_eq!(state(Some("4"), None), State::Ok);
        for odd in ["0", "5", "all"] {
            assert_eq!(state(Some(odd), None), State::Warn, "{odd}");
        }
        assert_eq!(state(None, Some("ACTIVE")), State::Warn);
    }

    #[test]
    fn few_files_are_bad_and_the_hint_stays_below_the_hard_limit() {
        assert_eq!(files(2, limit(None)).state, State::Ok);
        assert_eq!(files(2, limit(Some(1024))).state, State::Ok);
        assert_eq!(files(2, limit(Some(28))).state, State::Warn);
        assert_eq!(files(2, limit(Some(27))).state, State::Bad);
        assert_eq!(files(4, limit(Some(28))).state, State::Bad, "more threads open more");
        let cure = |hard| files(2, Rlimit { current: Some(16), maximum: hard }).cure.unwrap();
        assert!(cure(Some(900)).contains("ulimit -n 900") && cure(None).contains("ulimit -n 1024"));
        assert!(cure(Some(16)).contains("raise the hard limit"), "the shell cannot raise it");
    }

    #[test]
    fn limits_of_addresses_and_file_sizes_are_a_warning() {
        assert_eq!(sizes(limit(None), limit(None)).state, State::Ok);
        let check = sizes(limit(Some(1 << 31)), limit(None));
        assert_eq!(check.state, State::Warn);
        assert_eq!(check.found, "limited: addresses (`ulimit -v`) to 2.15 GB");
    }
}
