//! The checks of versions, of the driver, and of the GPU that a run would use.

use indicatif::DecimalBytes;
use tch::Device;

use crate::commands::doctor::check::Check;
use torchkit::{Accelerator, DeviceChoice, Driver, GpuMemory, Libtorch, Monitor, Pinned};

/// The version of tch that Cargo.toml pins.
const TCH: &str = "0.24.0";
/// The lowest compute capability that CUDA 13 supports: Turing GPUs (2018).
const CAPABILITY: (i32, i32) = (7, 5);
/// The bytes that are pinned as a trial: more than a run's batches take.
const PINNED: usize = 256_000_000;

/// The device that a run would use, and the checks of it and of the libraries.
pub(super) struct DeviceChecks {
    pub(super) device: Device,
    pub(super) checks: Vec<Check>,
}

/// Checks the libraries and the chosen device.
pub(super) fn check(choice: DeviceChoice) -> DeviceChecks {
    let has_driver = torchkit::has_driver();
    let libtorch = match Libtorch::detect() {
        Ok(libtorch) => libtorch,
        Err(error) => {
            let check = Check::bad("versions", format!("libtorch does not answer: {error}"), REINSTALL);
            return DeviceChecks { device: Device::Cpu, checks: vec![check] };
        }
    };
    let wanted = match choice {
        DeviceChoice::Auto if has_driver => DeviceChoice::Cuda(0),
        DeviceChoice::Auto => DeviceChoice::Cpu,
        chosen => chosen,
    };
    let mut found = match wanted {
        DeviceChoice::Cpu => without_gpu(has_driver),
        wanted => with_gpu(wanted, has_driver, &libtorch),
    };
    found.checks.insert(0, versions(&libtorch));
    found
}

/// Returns the checks of a run on the CPU.
fn without_gpu(has_driver: bool) -> DeviceChecks {
    let why = if has_driver {
        "not used, as --device is cpu"
    } else {
        "no NVIDIA driver here: a run trains on the CPU"
    };
    let checks = ["driver", "gpu-memory", "pinned-memory"].map(|name| Check::ok(name, why)).into();
    DeviceChecks { device: Device::Cpu, checks }
}

/// Checks the driver and the GPU.
fn with_gpu(wanted: DeviceChoice, has_driver: bool, libtorch: &Libtorch) -> DeviceChecks {
    let (device, driver) = match usable_device(wanted, has_driver, libtorch) {
        Ok(device) => (device, driver(device)),
        Err(check) => (Device::Cpu, check),
    };
    let memory = match Monitor::of(device).and_then(|monitor| monitor.memory()) {
        Some(memory) => gpu_memory(&memory),
        None => Check::warn(
            "gpu-memory",
            "NVML does not say how much is free",
            "run `nvidia-smi` to see who uses the GPU",
        ),
    };
    DeviceChecks { device, checks: vec![driver, memory, pinned(device)] }
}

const REINSTALL: &str =
    "run `make setup` and build again, or install the libtorch that the program was built with";

/// Checks the versions of the program and of its libraries.
fn versions(libtorch: &Libtorch) -> Check {
    let Libtorch { version, expected, cuda, folder } = libtorch;
    let found = format!(
        "amdim-stream {}, tch {TCH}, libtorch {}{} in `{}`, its CUDA half {}",
        env!("CARGO_PKG_VERSION"),
        version.as_deref().unwrap_or("of an unknown version"),
        cuda.as_ref().map_or_else(|| " for the CPU alone".to_owned(), |cuda| format!(" for CUDA {cuda}")),
        folder.as_ref().map_or_else(|| "?".into(), |folder| folder.display().to_string()),
        if libtorch.has_cuda_half() { "beside it" } else { "missing" },
    );
    // The version that the library reports may have a suffix.
    let is_same = version.as_ref().is_some_and(|version| version.starts_with(expected.as_str()));
    if is_same {
        Check::ok("versions", found)
    } else {
        Check::bad("versions", format!("{found}; built against libtorch {expected}"), REINSTALL)
    }
}

/// The name of the driver's check.
const DRIVER: &str = "driver";

/// Returns the device, or a bad check if the driver is too old for libtorch or libtorch does not find the
/// GPU.
fn usable_device(wanted: DeviceChoice, has_driver: bool, libtorch: &Libtorch) -> Result<Device, Check> {
    if has_driver
        && let (Ok(driver), Some(needed)) = (Driver::detect(), libtorch.cuda.as_deref().and_then(version))
        && driver.cuda < needed
    {
        return Err(Check::bad(DRIVER, too_old(&driver, needed), UPDATE));
    }
    let cure = "repair the driver or libtorch, or train with --device cpu";
    torchkit::device(wanted).map_err(|error| Check::bad(DRIVER, error.to_string(), cure))
}

/// Checks the driver's version and the GPU's compute capability.
fn driver(device: Device) -> Check {
    let version = match Driver::detect() {
        Ok(Driver { version, cuda: (major, minor) }) => format!("{version}, for CUDA up to {major}.{minor}"),
        Err(error) => format!("NVML does not tell its version ({error})"),
    };
    match Monitor::of(device).and_then(|monitor| monitor.capability()) {
        Some(capability) if capability < CAPABILITY => {
            let [(major, minor), (least, least_minor)] = [capability, CAPABILITY];
            let found = format!(
                "{version}; the GPU's compute capability {major}.{minor} is below {least}.{least_minor}"
            );
            Check::bad(DRIVER, found, "choose a later GPU (--device cuda:N), or train with --device cpu")
        }
        _ => Check::ok(DRIVER, version),
    }
}

const UPDATE: &str =
    "install a later driver (version 580 or later for CUDA 13.0), or train with --device cpu";

fn too_old(driver: &Driver, (major, minor): (i32, i32)) -> String {
    let (has_major, has_minor) = driver.cuda;
    format!("{} supports CUDA up to {has_major}.{has_minor}; libtorch needs {major}.{minor}", driver.version)
}

/// Parses the major and minor number of a version such as `13.0`.
fn version(text: &str) -> Option<(i32, i32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// Checks whether other processes use much of the GPU's memory.
fn gpu_memory(memory: &GpuMemory) -> Check {
    let GpuMemory { name, total, free, others } = memory;
    let found = format!(
        "{name}: {} free of {}; {} other processes that NVML shows{}",
        DecimalBytes(*free),
        DecimalBytes(*total),
        others.len(),
        if others.is_empty() { String::new() } else { format!(" {others:?}") },
    );
    let cure = "end other processes (`nvidia-smi` shows them; a container may hide some), or choose another GPU with --device cuda:N";
    if *free < *total / 10 {
        Check::bad("gpu-memory", found, cure)
    } else if !others.is_empty() || *free < *total / 10 * 9 {
        Check::warn("gpu-memory", found, cure)
    } else {
        Check::ok("gpu-memory", found)
    }
}

/// Checks by a trial whether host memory can be pinned. The CUDA driver mostly ignores `RLIMIT_MEMLOCK`, so
/// the limit alone says little.
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
    fn the_version_of_tch_is_the_pinned_one() {
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
    fn memory_in_use_by_other_processes_is_a_warning_or_bad() {
        let state = |free, others: &[u32]| {
            gpu_memory(&GpuMemory { name: String::new(), total: 100, free, others: others.to_vec() }).state
        };
        assert_eq!(state(95, &[]), State::Ok);
        assert_eq!(state(95, &[7]), State::Warn);
        assert_eq!(state(50, &[]), State::Warn, "a container may hide the processes");
        assert_eq!(state(5, &[]), State::Bad);
    }

    #[test]
    fn the_message_about_an_old_driver_names_both_versions() {
        let driver = Driver { version: "550.54".to_owned(), cuda: (12, 4) };
        assert_eq!(too_old(&driver, (13, 0)), "550.54 supports CUDA up to 12.4; libtorch needs 13.0");
    }
}
