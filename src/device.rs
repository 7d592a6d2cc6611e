//! Errors of a device that does not exist or has too little memory.

use anyhow::Result;
use tch::Device;
use torchkit::{Choice, DeviceChoice, Failure, Piece, caught};

use crate::{
    exit::Code,
    hint::{self, WithHint},
    world::World,
};

/// Returns the device that a choice means on this machine, as [`torchkit::device`] does.
///
/// # Errors
///
/// With a hint if it cannot be used.
pub fn choose(choice: DeviceChoice) -> Result<Device> {
    torchkit::device(choice)
        .with_hint(|| "train on the CPU with --device cpu, or let --device auto choose")
        .with_code(Code::Usage)
}

/// Returns the device of a process among those of its machine: the GPU with its number there, where a choice names none
/// and the process sees several.
///
/// # Errors
///
/// With a hint if it cannot be used.
pub fn choose_for(choice: DeviceChoice, world: World) -> Result<Device> {
    let first = choose(choice)?;
    if !world.has_others() || !first.is_cuda() || choice != DeviceChoice::Auto {
        return Ok(first);
    }
    let seen = usize::try_from(tch::Cuda::device_count()).unwrap_or(1);
    if seen < 2 { Ok(first) } else { choose(DeviceChoice::Cuda(world.local_rank())) }
}

/// Switches fused pieces on or off by a choice. With `auto`, a GPU starts without those of a step, until a run has
/// proved them.
pub fn settle_fused(choice: Choice, device: Device) {
    let is_on = |piece: Piece| match choice {
        Choice::Auto => !device.is_cuda() || piece == Piece::Input,
        Choice::On => true,
        Choice::Off => false,
    };
    for piece in Piece::ALL {
        piece.fuse(is_on(piece));
    }
}

/// Runs `work`. If `device` runs out of memory, the error names `what` and has `cures` as hints; other errors
/// are returned unchanged.
///
/// # Errors
///
/// The errors of `work`.
pub fn within_memory<T>(
    device: Device,
    what: impl FnOnce() -> String,
    cures: impl FnOnce() -> Vec<String>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    caught(work).map_err(anyhow::Error::from).flatten().map_err(|error| {
        if !is_out_of_memory(&error) {
            return error;
        }
        let mut cures = cures();
        if device.is_cuda() {
            cures.push("end the other processes that `nvidia-smi` lists".to_owned());
        }
        let message = format!("there is not enough memory on {} for {}", torchkit::name(device), what());
        let error = error.context(message);
        if cures.is_empty() { error } else { hint::add(error, cures.join("; ")) }
    })
}

/// Returns whether the cause of an error is too little memory on the device.
pub fn is_out_of_memory(error: &anyhow::Error) -> bool {
    hint::find::<Failure>(error).is_some_and(|failure| failure.is_out_of_memory)
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn too_little_memory_is_reported_with_a_hint() {
        let huge = || Ok(Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu)));
        let cures = || vec!["a smaller one".to_owned()];
        let error = within_memory(Device::Cpu, || "the tensor".to_owned(), cures, huge).unwrap_err();
        let error = hint::render(&error);
        assert!(
            error.contains("on cpu for the tensor: ") && error.contains("hint: a smaller one"),
            "{error}"
        );
        let wrong = || Ok(Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).tr().matmul(&Tensor::from(1.0)));
        let error = within_memory(Device::Cpu, String::new, Vec::new, wrong).unwrap_err().to_string();
        assert!(!error.contains("memory"), "{error}");
    }

    #[test]
    fn too_little_memory_is_recognized_below_a_hint() {
        let huge = || Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu));
        let error = hint::add(caught(huge).unwrap_err(), "a cure".to_owned()).context("a batch");
        assert!(is_out_of_memory(&error));
        assert!(!is_out_of_memory(&hint::add(anyhow::anyhow!("else"), "a cure".to_owned())));
    }
}
