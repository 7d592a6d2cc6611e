//! Figures that the NVIDIA driver gives of a GPU, through NVML.

use std::{env, process};

use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor, error::NvmlError};
use tch::Device;

/// A connection to NVML for one GPU: its load, memory and compute capability.
#[derive(Debug)]
pub struct Monitor {
    nvml: Nvml,
    gpu: Visible,
}

/// A GPU as `CUDA_VISIBLE_DEVICES` names it.
#[derive(Debug, PartialEq, Eq)]
enum Visible {
    Number(u32),
    Uuid(String),
}

impl Monitor {
    /// Connects to NVML for the GPU behind `device`. Returns `None` for the CPU, and where NVML is missing.
    pub fn of(device: Device) -> Option<Self> {
        let Device::Cuda(number) = device else { return None };
        let gpu = visible(number, env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())?;
        match Nvml::init() {
            Ok(nvml) => Some(Self { nvml, gpu }),
            Err(error) => {
                tracing::debug!("no GPU figures: {error}");
                None
            }
        }
    }

    /// Returns the present load of the GPU; `None` if the driver does not tell.
    pub fn load(&self) -> Option<GpuLoad> {
        let gpu = self.gpu()?;
        let utilization = f64::from(gpu.utilization_rates().ok()?.gpu) / 100.0;
        Some(GpuLoad { utilization, used: gpu.memory_info().ok()?.used })
    }

    /// Returns the compute capability as (major, minor).
    pub fn capability(&self) -> Option<(i32, i32)> {
        let capability = self.gpu()?.cuda_compute_capability().ok()?;
        Some((capability.major, capability.minor))
    }

    /// Returns the GPU's memory, total and free, and the other processes that use it.
    pub fn memory(&self) -> Option<GpuMemory> {
        let gpu = self.gpu()?;
        let memory = gpu.memory_info().ok()?;
        let compute = gpu.running_compute_processes().unwrap_or_default();
        let graphics = gpu.running_graphics_processes().unwrap_or_default();
        let mut others: Vec<_> = compute.iter().chain(&graphics).map(|process| process.pid).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|pid| *pid != process::id());
        let name = gpu.name().unwrap_or_else(|_| "a GPU".to_owned());
        Some(GpuMemory { name, total: memory.total, free: memory.free, others })
    }

    fn gpu(&self) -> Option<nvml_wrapper::Device<'_>> {
        match &self.gpu {
            Visible::Number(number) if self.is_ordered() => self.nvml.device_by_index(*number).ok(),
            Visible::Number(_) => None,
            Visible::Uuid(uuid) => self.nvml.device_by_uuid(uuid.as_str()).ok(),
        }
    }

    /// Returns whether CUDA numbers the GPUs as NVML does. CUDA orders them by bus only if
    /// `CUDA_DEVICE_ORDER` says so; the order does not matter if all GPUs are alike.
    fn is_ordered(&self) -> bool {
        let names = || -> Option<Vec<String>> {
            let count = self.nvml.device_count().ok()?;
            (0..count).map(|number| self.nvml.device_by_index(number).ok()?.name().ok()).collect()
        };
        env::var("CUDA_DEVICE_ORDER").is_ok_and(|order| order == "PCI_BUS_ID")
            || names().is_some_and(|names| names.windows(2).all(|pair| pair[0] == pair[1]))
    }
}

/// The load of a GPU, by all processes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuLoad {
    /// The share (0 to 1) of the last sampling period in which the GPU had work.
    pub utilization: f64,
    /// Bytes of memory in use.
    pub used: u64,
}

/// The memory of a GPU and its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuMemory {
    /// The GPU's name, e.g. `NVIDIA H200`.
    pub name: String,
    /// Bytes in total.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Process ids of the other processes on the GPU. In a container NVML may list none although there are
    /// some.
    pub others: Vec<u32>,
}

/// The installed NVIDIA driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// The driver's version, e.g. `580.95.05`.
    pub version: String,
    /// The latest CUDA version that it supports, e.g. (13, 0).
    pub cuda: (i32, i32),
}

impl Driver {
    /// Asks NVML.
    ///
    /// # Errors
    /// NVML's error where it cannot be loaded or does not answer.
    pub fn detect() -> Result<Self, NvmlError> {
        let nvml = Nvml::init()?;
        let cuda = nvml.sys_cuda_driver_version()?;
        let cuda = (cuda_driver_version_major(cuda), cuda_driver_version_minor(cuda));
        Ok(Self { version: nvml.sys_driver_version()?, cuda })
    }
}

/// Returns the version of the driver, if NVML tells it.
pub(crate) fn driver() -> Option<String> {
    Nvml::init().ok()?.sys_driver_version().ok()
}

/// Returns the GPU with CUDA's `number`, given the value of `CUDA_VISIBLE_DEVICES`.
fn visible(number: usize, list: Option<&str>) -> Option<Visible> {
    let Some(list) = list else { return Some(Visible::Number(number as u32)) };
    let entry = list.split(',').nth(number)?.trim();
    Some(entry.parse().map_or_else(|_| Visible::Uuid(entry.to_owned()), Visible::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitored_gpu_is_the_one_with_cudas_number() {
        assert_eq!(visible(2, None), Some(Visible::Number(2)));
        assert_eq!(visible(1, Some("3, 5")), Some(Visible::Number(5)));
        assert_eq!(visible(0, Some("GPU-8f2c")), Some(Visible::Uuid("GPU-8f2c".to_owned())));
        assert_eq!(visible(2, Some("3,5")), None);
    }

    #[test]
    fn the_cpu_has_no_monitor() {
        assert!(Monitor::of(Device::Cpu).is_none());
    }
}
