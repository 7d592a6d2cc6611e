//! The choice of a device, and the loading of libtorch's CUDA half.

use std::{fmt, path::Path, str::FromStr};

use tch::{Cuda, Device};

use crate::{cuda_library::open_library, fused, monitor, norms};

/// The device that a user chooses: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match text.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(number)) => Ok(Self::Cuda(number)),
                _ => Err(format!("unknown device `{text}`: expected `auto`, `cpu`, `cuda` or `cuda:N`")),
            },
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The error of a chosen GPU that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no `cuda:{number}` here: {reason}")]
pub struct NoDevice {
    /// The GPU's number.
    pub number: usize,
    /// Why it cannot be used.
    pub reason: String,
}

/// Finds the device for a choice on this machine.
///
/// Call it before anything else asks torch about CUDA: torch looks for its CUDA half once and remembers the
/// answer.
///
/// # Errors
/// [`NoDevice`] if a GPU was chosen by its number and cannot be used.
pub fn device(choice: DeviceChoice) -> Result<Device, NoDevice> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto if !has_driver() => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|reason| {
            tracing::warn!("using the CPU: there is a GPU, but {reason}");
            Device::Cpu
        })),
        DeviceChoice::Cuda(number) => cuda(number).map_err(|reason| NoDevice { number, reason }),
    }
}

/// Returns whether this machine has NVIDIA's driver, without asking libtorch: see [`device`].
pub fn has_driver() -> bool {
    Path::new("/dev/nvidiactl").exists()
}

/// Writes a device as on the command line: `cpu` or `cuda:N`.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Returns the GPU with this number, or the reason why it cannot be used.
fn cuda(number: usize) -> Result<Device, String> {
    if !has_driver() {
        return Err("this machine has no NVIDIA driver (`/dev/nvidiactl` is missing)".to_owned());
    }
    load_cuda()?;
    match usize::try_from(Cuda::device_count()).unwrap_or(0) {
        count if number < count => {
            fused::multiply_by_cublas();
            norms::normalize_by_kernel();
            Ok(Device::Cuda(number))
        }
        0 => Err(format!(
            "libtorch sees no GPU; it is built for CUDA 13.0, which needs a driver of version 580 or later ({}), and \
             CUDA_VISIBLE_DEVICES must not hide it",
            monitor::driver().map_or_else(
                || "`nvidia-smi` shows which is there".to_owned(),
                |version| format!("here: {version}")
            )
        )),
        1 => Err("there is one GPU, `cuda:0` (see `nvidia-smi` and CUDA_VISIBLE_DEVICES)".to_owned()),
        count => Err(format!(
            "there are {count} GPUs, `cuda:0` to `cuda:{}` (see `nvidia-smi` and CUDA_VISIBLE_DEVICES)",
            count - 1
        )),
    }
}

/// Loads libtorch's CUDA half. The program is not linked with it, so that it starts on machines without CUDA.
fn load_cuda() -> Result<(), String> {
    // The loader finds it by the program's rpath, beside its libtorch_cpu.so.
    open_library("libtorch_cuda.so").map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_parsed_as_it_is_displayed() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:x", "CPU"] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().contains(text));
        }
    }
}
