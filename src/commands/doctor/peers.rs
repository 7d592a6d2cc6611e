//! The checks of all processes together: what is bad on other machines, versions, clocks, network, run folder.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use indicatif::DecimalBytes;
use tch::{Device, Kind, Tensor};
use torchkit::{Accelerator, Libtorch, Stream};

use super::check::{Check, State};
use crate::{
    commands::shared,
    world::{Member, World},
};

/// The seconds by which the clocks of two machines may differ.
const APART: f64 = 1.0;
/// The bytes whose travel is measured: few, for the latency, and many, for the bandwidth.
const FEW: u64 = 8;
const MANY: u64 = 32_000_000;
/// How often it is measured.
const ROUNDS: usize = 9;
/// The seconds above which each joint decision takes long beside a step.
const LATENCY: f64 = 5e-3;
/// The bytes a second below which the gradients of 25 million parameters take more than a second.
const BANDWIDTH: f64 = 1e8;

/// Returns the bad checks of the other processes, and the checks of all together, on every process. `own` are those of this
/// process.
///
/// # Errors
/// If another process is lost.
pub(super) fn checks(own: Vec<Check>, out: &Path, device: Device, world: World) -> Result<Vec<Check>> {
    let all = world.every(&own)?;
    let is_writable = !all[0].iter().any(|check| check.name == "write" && check.state == State::Bad);
    let mut checks = bad_ones(all, world.members());
    checks.push(processes(world.members()));
    checks.push(programs(&world.every(&program())?, world.members()));
    checks.push(clocks(&medians_ahead(world)?, world.members()));
    let (device, name) = connect(device, world)?;
    checks.push(latency(median_of_reductions(FEW, device, world)?, name));
    checks.push(bandwidth(median_of_reductions(MANY, device, world)?, name));
    checks.push(if is_writable {
        shared_folder(&shared::is_same(out, world)?, out, world.members())
    } else {
        Check::warn(SHARED, "not tried: the lead cannot write to the folder", "see `write`")
    });
    Ok(checks)
}

/// Returns the bad checks of all processes but the lead, each with its process.
fn bad_ones(all: Vec<Vec<Check>>, members: &[Member]) -> Vec<Check> {
    let bad = |(rank, checks): (usize, Vec<Check>)| {
        let bad = checks.into_iter().filter(|check| check.state == State::Bad);
        bad.map(move |check| Check {
            found: format!("{}: {}", members[rank], check.found),
            rank: Some(rank),
            ..check
        })
    };
    all.into_iter().enumerate().skip(1).flat_map(bad).collect()
}

/// Counts the processes of each machine.
fn processes(members: &[Member]) -> Check {
    const NAME: &str = "processes";
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for member in members {
        *counts.entry(&member.host).or_default() += 1;
    }
    let listed: Vec<_> = counts.iter().map(|(host, count)| format!("{count} on {host}")).collect();
    let found = format!("{}: {}", members.len(), listed.join(", "));
    let (least, most) = (counts.values().min(), counts.values().max());
    if least == most {
        return Check::ok(NAME, found);
    }
    Check::warn(
        NAME,
        found,
        "start equally many processes on each machine: all have equal shares of the samples, and wait for the slowest",
    )
}

/// Returns the versions of the program and of its libraries.
fn program() -> String {
    let own = format!("amdim-stream {} ({})", env!("CARGO_PKG_VERSION"), built::COMMIT);
    let Ok(Libtorch { version, cuda, .. }) = Libtorch::detect() else { return own };
    let version = version.unwrap_or_else(|| "of an unknown version".to_owned());
    let cuda = cuda.map_or_else(|| " for the CPU alone".to_owned(), |cuda| format!(" for CUDA {cuda}"));
    format!("{own}, libtorch {version}{cuda}")
}

/// Compares the versions of all processes with those of the lead.
fn programs(all: &[String], members: &[Member]) -> Check {
    const NAME: &str = "programs";
    match all.iter().position(|other| *other != all[0]) {
        None => Check::ok(NAME, format!("all have {}", all[0])),
        Some(rank) => Check::bad(
            NAME,
            format!("{} has {}, but rank 0 has {}", members[rank], all[rank], all[0]),
            "install the same version of the program and of libtorch on all machines",
        ),
    }
}

/// Returns the seconds by which the clock of each process is ahead of the lead's: the median of some readings, which are
/// taken when all have come to the same place.
fn medians_ahead(world: World) -> Result<Vec<f64>> {
    let mut ahead = vec![Vec::new(); world.size()];
    for _ in 0..ROUNDS {
        world.wait()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let all = world.numbers([now])?;
        all.iter().zip(&mut ahead).for_each(|([time], ahead)| ahead.push(time - all[0][0]));
    }
    Ok(ahead.into_iter().map(median).collect())
}

/// Judges the seconds by which clocks are ahead of the lead's.
fn clocks(ahead: &[f64], members: &[Member]) -> Check {
    const NAME: &str = "clocks";
    let off = |rank: &usize| ahead[*rank].abs();
    let farthest = (0..ahead.len()).max_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(0);
    let found = format!("within {:.3} s of each other; {APART} s is tolerated", off(&farthest));
    if off(&farthest) <= APART {
        return Check::ok(NAME, found);
    }
    Check::warn(
        NAME,
        format!(
            "the clock of {} differs by {:+.3} s from that of rank 0; {APART} s is tolerated",
            members[farthest], ahead[farthest]
        ),
        "synchronize the clocks of all machines with NTP: `timedatectl set-ntp true`, or chrony",
    )
}

/// Connects the devices of all processes, if each has a GPU. Returns the device whose tensors travel, and the name of the
/// way.
fn connect(device: Device, world: World) -> Result<(Device, &'static str)> {
    let number = if let Device::Cuda(number) = device { Some(number) } else { None };
    let all = world.every(&number)?;
    let places: Option<Vec<_>> =
        world.members().iter().zip(all).map(|(member, number)| Some((&member.host, number?))).collect();
    let Some(mut places) = places else { return Ok((Device::Cpu, "gloo")) };
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        return Ok((Device::Cpu, "gloo, as processes share a GPU")); // which NCCL refuses
    }
    Stream::new(Accelerator::of(device))?.make_current()?;
    world.connect_devices().context("the GPUs of the processes cannot be connected")?;
    Ok((device, "NCCL"))
}

/// Returns the median of the seconds in which a tensor of so many bytes becomes the mean over all processes.
fn median_of_reductions(bytes: u64, device: Device, world: World) -> Result<f64> {
    let tensor = Tensor::ones([bytes.cast_signed() / 4], (Kind::Float, device));
    let mut seconds = Vec::new();
    for _ in 0..=ROUNDS {
        world.wait()?;
        let start = Instant::now();
        world.average(|| vec![tensor.shallow_clone()])?;
        let _ = tensor.double_value(&[0]); // waits for the device
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.remove(0); // connections and memory are made in the first round
    Ok(median(seconds))
}

/// Returns the middle number; NaN of none.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The cure of a slow network.
const FASTER: &str = "connect the machines by a faster network, or name its interface: GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME;                       end other programs that use the network or the cores";

fn latency(seconds: f64, way: &str) -> Check {
    const NAME: &str = "latency";
    let found = format!("{FEW} bytes are averaged over all processes in {:.3} ms ({way})", 1e3 * seconds);
    if seconds <= LATENCY { Check::ok(NAME, found) } else { Check::warn(NAME, found, FASTER) }
}

fn bandwidth(seconds: f64, way: &str) -> Check {
    const NAME: &str = "bandwidth";
    let rate = MANY as f64 / seconds;
    let found = format!(
        "{} are averaged over all processes in {:.1} ms, {} a second ({way})",
        DecimalBytes(MANY),
        1e3 * seconds,
        DecimalBytes(rate as u64)
    );
    if rate >= BANDWIDTH { Check::ok(NAME, found) } else { Check::warn(NAME, found, FASTER) }
}

/// The name of the check of the run folder.
const SHARED: &str = "shared-folder";

/// Judges whether each process, by rank, sees the folder of the lead.
fn shared_folder(is_same: &[bool], out: &Path, members: &[Member]) -> Check {
    match is_same.iter().position(|is_same| !is_same) {
        None => Check::ok(SHARED, format!("all processes see the same `{}`", out.display())),
        Some(rank) => Check::warn(
            SHARED,
            format!("{} does not see what rank 0 writes to `{}`", members[rank], out.display()),
            "put --out on a disk that all machines share: training does without, as rank 0 alone writes, but `eval` and `embed` read the              run on every machine",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<Member> {
        let member =
            |(rank, host): (usize, &str)| Member { rank, host: host.to_owned(), pid: 7, cores: Vec::new() };
        ["a", "a", "b"].into_iter().enumerate().map(member).collect()
    }

    #[test]
    fn a_process_with_another_version_is_named_with_both() {
        let versions = |last: &str| ["1.0", "1.0", last].map(str::to_owned);
        assert_eq!(programs(&versions("1.0"), &members()).state, State::Ok);
        let check = programs(&versions("1.1"), &members());
        assert_eq!(check.state, State::Bad);
        assert_eq!(check.found, "rank 2 (process 7 on b) has 1.1, but rank 0 has 1.0");
    }

    #[test]
    fn the_clock_that_is_farthest_off_is_named() {
        assert_eq!(clocks(&[0.0, 0.2, -0.9], &members()).state, State::Ok);
        let check = clocks(&[0.0, 2.0, -3.0], &members());
        assert_eq!(check.state, State::Warn);
        assert!(
            check.found.starts_with("the clock of rank 2 (process 7 on b) differs by -3.000 s"),
            "{check:?}"
        );
    }

    #[test]
    fn unequal_numbers_of_processes_a_slow_network_and_other_folders_are_warnings() {
        let check = processes(&members());
        assert_eq!((check.state, &*check.found), (State::Warn, "3: 2 on a, 1 on b"));
        assert_eq!(processes(&members()[..2]).state, State::Ok);
        assert_eq!((latency(1e-4, "").state, latency(0.1, "").state), (State::Ok, State::Warn));
        assert_eq!((bandwidth(0.03, "").state, bandwidth(1.0, "").state), (State::Ok, State::Warn));
        let shared = |last| shared_folder(&[true, true, last], Path::new("runs"), &members()).state;
        assert_eq!((shared(true), shared(false)), (State::Ok, State::Warn));
    }

    #[test]
    fn bad_checks_of_other_processes_are_told_with_their_rank() {
        let own = vec![Check::bad("disk", "full", "make room")];
        let other = vec![Check::ok("cpu", "4 cores"), Check::bad("disk", "full", "make room")];
        let told = bad_ones(vec![own, vec![], other], &members());
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].rank, &*told[0].found), (Some(2), "rank 2 (process 7 on b): full"));
        assert_eq!(told[0].json()["rank"], 2);
    }
}
