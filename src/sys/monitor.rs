//! What the driver says of a GPU, through NVML.

use std::env;

use nvml_wrapper::Nvml;
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

    /// The first number of the compute capability.
    pub fn capability(&self) -> Option<i32> {
        Some(self.gpu()?.cuda_compute_capability().ok()?.major)
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

/// The version of the driver, where NVML tells it.
pub(super) fn driver() -> Option<String> {
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
