//! The precision in which libtorch computes.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{fmt, marker::PhantomData, str::FromStr};

use tch::{Device, Kind};

use crate::{
    Monitor,
    failure::Failure,
    ffi::{self, check},
    memory::number,
};

/// The precision in which the encoder is trained. Scores, losses, the statistics of norms, parameters and the
/// optimizer's state are always f32. On CUDA, f32 products beside an encoder in bf16 round their factors as in
/// TF32, which keeps AMDIM's embeddings of bf16 as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// bf16 on devices with instructions for it (GPUs of compute capability 8.0 or later, CPUs with
    /// AVX512-BF16), else f32.
    #[default]
    Auto,
    /// f32 throughout: factors of 24 bits.
    F32,
    /// Factors rounded to 11 bits where the device supports it, sums in f32.
    Tf32,
    /// Convolutions and matrix products of the encoder in bf16.
    Bf16,
}

impl Precision {
    /// Resolves `Auto` for this device.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        match (self, device) {
            (Self::Auto, _) if has_bf16(device) => Self::Bf16,
            (Self::Auto, _) => Self::F32,
            _ => self,
        }
    }

    /// Returns the precision in which an encoder trained in `self` is evaluated on this device: f32 on the
    /// CPU; on CUDA bf16 if it was trained so, else TF32, whose rounding does not show in the results.
    #[must_use]
    pub fn of_evaluation(self, device: Device) -> Self {
        match self.on(device) {
            _ if !device.is_cuda() => Self::F32,
            Self::Bf16 if has_bf16(device) => Self::Bf16,
            _ => Self::Tf32,
        }
    }

    /// Sets libtorch's flags for evaluations, for the whole process: TF32 is allowed on CUDA.
    ///
    /// # Errors
    /// libtorch's failure to set a flag.
    pub fn apply_to_evaluation(device: Device) -> Result<(), Failure> {
        set_flags(device.is_cuda())
    }

    /// Returns whether the device lacks instructions for this precision, which makes it many times slower
    /// than f32.
    pub fn is_emulated(self, device: Device) -> bool {
        self == Self::Bf16 && !has_bf16(device)
    }

    /// Sets libtorch's flags for this precision, for the whole process.
    ///
    /// # Errors
    /// libtorch's failure to set a flag.
    pub fn apply(self) -> Result<(), Failure> {
        set_flags(matches!(self, Self::Tf32 | Self::Bf16))
    }

    /// Begins the autocast scope in which the encoder is computed; `None` for precisions that need none.
    ///
    /// # Errors
    /// libtorch's failure to begin it.
    pub fn autocast(self, device: Device) -> Result<Option<Autocast>, Failure> {
        if self == Self::Bf16 { Autocast::new(device).map(Some) } else { Ok(None) }
    }
}

/// Returns whether the device has bf16 instructions; true for a GPU whose compute capability is unknown.
fn has_bf16(device: Device) -> bool {
    if let Device::Cuda(_) = device {
        return Monitor::of(device)
            .and_then(|monitor| monitor.capability())
            .is_none_or(|(major, _)| major >= 8);
    }
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn set_flags(tf32: bool) -> Result<(), Failure> {
    // SAFETY: both calls only set global flags of libtorch.
    unsafe {
        check(ffi::amdim_tf32(tf32.into()))?;
        // All batches have the same shape, so benchmarking cuDNN's algorithms pays off.
        check(ffi::amdim_benchmark_convolutions(1))
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(format!("unknown precision `{name}`: expected `auto`, `f32`, `tf32` or `bf16`")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

/// A scope in which matrix products and convolutions of this thread are computed in bf16. Scopes do not nest.
#[derive(Debug)]
pub struct Autocast {
    kind: i32,
    /// Makes the type `!Send`: the flags are the thread's.
    _here: PhantomData<*const ()>,
}

impl Autocast {
    fn new(device: Device) -> Result<Self, Failure> {
        let kind = i32::from(device.is_cuda()); // c10's device type
        // SAFETY: the calls set this thread's flags.
        unsafe {
            check(ffi::amdim_autocast(kind, 1, number(Kind::BFloat16)))?;
            ffi::amdim_autocast_enter();
        }
        Ok(Self { kind, _here: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: the calls undo what `new` did to this thread's flags; the type is not `Send`.
        let undone = unsafe {
            ffi::amdim_autocast_leave();
            check(ffi::amdim_autocast(self.kind, 0, number(Kind::BFloat16)))
        };
        debug_assert!(undone.is_ok(), "a flag that could be set before can be set again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_compute_in_f32_on_the_cpu_and_as_in_training_or_tf32_on_cuda() {
        let (cpu, cuda) = (Device::Cpu, Device::Cuda(0));
        for precision in [Precision::Auto, Precision::F32, Precision::Tf32, Precision::Bf16] {
            assert_eq!(precision.of_evaluation(cpu), Precision::F32);
        }
        assert_eq!(Precision::F32.of_evaluation(cuda), Precision::Tf32);
        assert_eq!(Precision::Tf32.of_evaluation(cuda), Precision::Tf32);
        let bf16 = if has_bf16(cuda) { Precision::Bf16 } else { Precision::Tf32 };
        assert_eq!(Precision::Bf16.of_evaluation(cuda), bf16);
    }
}
