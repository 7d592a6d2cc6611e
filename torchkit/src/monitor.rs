//! What the driver says of a GPU, through NVML.

use std::{env, process};

use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor, error::NvmlError};
use tch::Device;

/// Watches the GPU that a run trains on.
#[derive(Debug)]
pub struct Monitor {
    nvml: Nvml,
    gpu: Visible,
}

/// A GPU as the driver knows it.
#[derive(Debug, PartialEq, Eq)]
enum Visible {
    Number(u32),
    Uuid(String),
}

impl Monitor {
    /// None for the CPU, and where there is no NVML.
    pub fn of(device: Device) -> Option<Self> {
        let Device::Cuda(number) = device else { return None };
        let gpu = visible(number, env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())?;
        match Nvml::init() {
            Ok(nvml) => Some(Self { nvml, gpu }),
            Err(error) => {
                tracing::debug!("no figures of the GPU: {error}");
                None
            }
        }
    }

    /// Share of the last moments in which the GPU had work, and the bytes of its memory that are taken, by whomever.
    pub fn figures(&self) -> Option<(f64, u64)> {
        let gpu = self.gpu()?;
        Some((f64::from(gpu.utilization_rates().ok()?.gpu) / 100.0, gpu.memory_info().ok()?.used))
    }

    /// The compute capability, both of its numbers.
    pub fn capability(&self) -> Option<(i32, i32)> {
        let capability = self.gpu()?.cuda_compute_capability().ok()?;
        Some((capability.major, capability.minor))
    }

    /// Who has how much of the GPU's memory.
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

    /// Whether CUDA numbers the GPUs as NVML does: by their places on the bus, unless told so only where all are alike.
    fn is_ordered(&self) -> bool {
        let names = || -> Option<Vec<String>> {
            let count = self.nvml.device_count().ok()?;
            (0..count).map(|number| self.nvml.device_by_index(number).ok()?.name().ok()).collect()
        };
        env::var("CUDA_DEVICE_ORDER").is_ok_and(|order| order == "PCI_BUS_ID")
            || names().is_some_and(|names| names.windows(2).all(|pair| pair[0] == pair[1]))
    }
}

/// A GPU's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuMemory {
    /// What the GPU is called.
    pub name: String,
    /// Bytes that there are.
    pub total: u64,
    /// Bytes that nobody has taken.
    pub free: u64,
    /// Processes that use the GPU beside this one. Inside of a container NVML may show none though there are some.
    pub others: Vec<u32>,
}

/// The NVIDIA driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its version, e.g. `580.95.05`.
    pub version: String,
    /// The latest CUDA that it can run, e.g. (13, 0).
    pub cuda: (i32, i32),
}

impl Driver {
    /// What NVML says, or why it does not.
    pub fn found() -> Result<Self, NvmlError> {
        let nvml = Nvml::init()?;
        let cuda = nvml.sys_cuda_driver_version()?;
        let cuda = (cuda_driver_version_major(cuda), cuda_driver_version_minor(cuda));
        Ok(Self { version: nvml.sys_driver_version()?, cuda })
    }
}

/// The version of the driver, where NVML tells it.
pub(crate) fn driver() -> Option<String> {
    Nvml::init().ok()?.sys_driver_version().ok()
}

/// The GPU that CUDA calls by this number, given what `CUDA_VISIBLE_DEVICES` lets it see.
fn visible(number: usize, list: Option<&str>) -> Option<Visible> {
    let Some(list) = list else { return Some(Visible::Number(number as u32)) };
    let entry = list.split(',').nth(number)?.trim();
    Some(entry.parse().map_or_else(|_| Visible::Uuid(entry.to_owned()), Visible::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_the_one_that_cuda_sees_under_its_number() {
        assert_eq!(visible(2, None), Some(Visible::Number(2)));
        assert_eq!(visible(1, Some("3, 5")), Some(Visible::Number(5)));
        assert_eq!(visible(0, Some("GPU-8f2c")), Some(Visible::Uuid("GPU-8f2c".to_owned())));
        assert_eq!(visible(2, Some("3,5")), None);
    }

    #[test]
    fn the_cpu_is_not_watched() {
        assert!(Monitor::of(Device::Cpu).is_none());
    }
}
