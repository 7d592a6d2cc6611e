//! Versions, the driver, and the GPU that a run would use.

use indicatif::DecimalBytes;
use tch::Device;

use crate::commands::doctor::check::Check;
use torchkit::{Accelerator, DeviceChoice, Driver, GpuMemory, Libtorch, Monitor, Pinned};

/// The version of tch that Cargo.toml pins.
const TCH: &str = "0.24.0";
/// The least compute capability that CUDA 13 has: of GPUs named Turing (2018).
const CAPABILITY: (i32, i32) = (7, 5);
/// Bytes that are pinned to try it: more than a run's batches take.
const PINNED: usize = 256_000_000;

/// The device that a run would have, and the checks of it and of the libraries.
pub(super) fn checks(choice: DeviceChoice) -> (Device, Vec<Check>) {
    let is_there = torchkit::has_driver();
    let libtorch = match Libtorch::detect() {
        Ok(libtorch) => libtorch,
        Err(error) => {
            let check = Check::bad("versions", format!("libtorch does not answer: {error}"), REINSTALL);
            return (Device::Cpu, vec![check]);
        }
    };
    let mut checks = vec![versions(&libtorch)];
    let wanted = match choice {
        DeviceChoice::Auto if is_there => DeviceChoice::Cuda(0),
        DeviceChoice::Auto => DeviceChoice::Cpu,
        chosen => chosen,
    };
    if wanted == DeviceChoice::Cpu {
        let why = if is_there {
            "not asked for (--device cpu)"
        } else {
            "no NVIDIA driver here: trains on the CPU"
        };
        checks.extend(["driver", "gpu-memory", "pinned-memory"].map(|name| Check::ok(name, why)));
        return (Device::Cpu, checks);
    }
    let (device, driver) = driver(wanted, is_there, &libtorch);
    checks.push(driver);
    checks.push(match Monitor::of(device).and_then(|monitor| monitor.memory()) {
        Some(memory) => gpu_memory(&memory),
        None => Check::warn("gpu-memory", "NVML does not tell", "`nvidia-smi` shows who uses the GPU"),
    });
    checks.push(pinned(device));
    (device, checks)
}

const REINSTALL: &str =
    "`make setup` and build again, or carry the libtorch along that the program was built with";

/// Program and libraries.
fn versions(libtorch: &Libtorch) -> Check {
    let Libtorch { version, expected, cuda, folder } = libtorch;
    let found = format!(
        "amdim-stream {}, tch {TCH}, libtorch {}{} in `{}`, its CUDA half {}",
        env!("CARGO_PKG_VERSION"),
        version.as_deref().unwrap_or("of an unknown version"),
        cuda.as_ref().map_or_else(|| " for the CPU alone".to_owned(), |cuda| format!(" for CUDA {cuda}")),
        folder.as_ref().map_or_else(|| "?".into(), |folder| folder.display().to_string()),
        if libtorch.has_cuda_half() { "beside it" } else { "not there" },
    );
    // What the library says of itself has a suffix at times.
    let is_same = version.as_ref().is_some_and(|version| version.starts_with(expected.as_str()));
    if is_same {
        Check::ok("versions", found)
    } else {
        Check::bad("versions", format!("{found}; built against libtorch {expected}"), REINSTALL)
    }
}

/// Whether the driver fits libtorch, and libtorch finds the GPU.
fn driver(wanted: DeviceChoice, is_there: bool, libtorch: &Libtorch) -> (Device, Check) {
    const NAME: &str = "driver";
    if is_there
        && let (Ok(driver), Some(needed)) = (Driver::detect(), libtorch.cuda.as_deref().and_then(version))
        && driver.cuda < needed
    {
        return (Device::Cpu, Check::bad(NAME, too_old(&driver, needed), UPDATE));
    }
    let device = match torchkit::device(wanted) {
        Ok(device) => device,
        Err(error) => {
            let cure = "repair the driver or libtorch, or train with --device cpu";
            return (Device::Cpu, Check::bad(NAME, error.to_string(), cure));
        }
    };
    let version = Driver::detect().map_or_else(
        |error| format!("NVML does not tell its version ({error})"),
        |Driver { version, cuda: (major, minor) }| format!("{version}, for CUDA up to {major}.{minor}"),
    );
    match Monitor::of(device).and_then(|monitor| monitor.capability()) {
        Some(capability) if capability < CAPABILITY => {
            let [(major, minor), (least, least_minor)] = [capability, CAPABILITY];
            let found = format!(
                "{version}; the GPU's compute capability {major}.{minor} is below {least}.{least_minor}"
            );
            (
                device,
                Check::bad(NAME, found, "choose a later GPU (--device cuda:N), or train with --device cpu"),
            )
        }
        _ => (device, Check::ok(NAME, version)),
    }
}

const UPDATE: &str =
    "install a later driver (version 580 or later for CUDA 13.0), or train with --device cpu";

fn too_old(driver: &Driver, (major, minor): (i32, i32)) -> String {
    let (has_major, has_minor) = driver.cuda;
    format!("{} runs CUDA up to {has_major}.{has_minor}; libtorch needs {major}.{minor}", driver.version)
}

/// The numbers of a version such as `13.0`.
fn version(text: &str) -> Option<(i32, i32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// Whether others have taken much of the GPU's memory.
fn gpu_memory(memory: &GpuMemory) -> Check {
    let GpuMemory { name, total, free, others } = memory;
    let found = format!(
        "{name}: {} free of {}; {} other processes that NVML shows{}",
        DecimalBytes(*free),
        DecimalBytes(*total),
        others.len(),
        if others.is_empty() { String::new() } else { format!(" {others:?}") },
    );
    let cure = "end them (`nvidia-smi` shows them; a container may hide some), or choose another GPU with --device cuda:N";
    if *free < *total / 10 {
        Check::bad("gpu-memory", found, cure)
    } else if !others.is_empty() || *free < *total / 10 * 9 {
        Check::warn("gpu-memory", found, cure)
    } else {
        Check::ok("gpu-memory", found)
    }
}

/// Whether memory of the host can be pinned, by pinning some. CUDA has the driver do it, mostly without regard to
/// `RLIMIT_MEMLOCK`, which therefore says little by itself.
fn pinned(device: Device) -> Check {
    let Some(accelerator) = Accelerator::of(device) else {
        return Check::warn("pinned-memory", "not tried: no GPU", "see `driver`");
    };
    let much = DecimalBytes(PINNED as u64);
    match Pinned::new(PINNED, Some(accelerator)) {
        Ok(_) => Check::ok("pinned-memory", format!("{much} could be pinned")),
        Err(error) => Check::bad(
            "pinned-memory",
            format!("{much} of memory cannot be pinned: {error}"),
            "raise the memory limit of the container or job, and `ulimit -l` (systemd: LimitMEMLOCK=infinity)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("13.0"), Some((13, 0)));
        assert!(version("9.2") < version("13.0") && version("13.1.2") > version("13.0"));
        assert_eq!(version("13"), None);
    }

    #[test]
    fn the_version_of_tch_is_the_one_that_is_pinned() {
        assert!(include_str!("../../../Cargo.toml").contains(&format!("tch = \"={TCH}\"")));
    }

    #[test]
    fn another_libtorch_than_the_one_built_against_is_bad() {
        let libtorch = |version: &str| Libtorch {
            version: Some(version.to_owned()),
            expected: "2.11.0".to_owned(),
            cuda: Some("13.0".to_owned()),
            folder: None,
        };
        assert_eq!(versions(&libtorch("2.11.0")).state, State::Ok);
        let other = versions(&libtorch("2.10.0"));
        assert_eq!(other.state, State::Bad);
        assert!(other.found.contains("built against libtorch 2.11.0"), "{other:?}");
    }

    #[test]
    fn memory_that_others_have_taken_is_told() {
        let state = |free, others: &[u32]| {
            gpu_memory(&GpuMemory { name: String::new(), total: 100, free, others: others.to_vec() }).state
        };
        assert_eq!(state(95, &[]), State::Ok);
        assert_eq!(state(95, &[7]), State::Warn);
        assert_eq!(state(50, &[]), State::Warn, "a container may hide the processes");
        assert_eq!(state(5, &[]), State::Bad);
    }

    #[test]
    fn a_driver_that_is_too_old_is_told_with_both_versions() {
        let driver = Driver { version: "550.54".to_owned(), cuda: (12, 4) };
        assert_eq!(too_old(&driver, (13, 0)), "550.54 runs CUDA up to 12.4; libtorch needs 13.0");
    }
}
