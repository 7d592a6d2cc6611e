//! The comparison of the tensors of all processes, which are equal to the bit.

use anyhow::Result;
use tch::{Kind, Tensor};
use torchkit::{Accelerator, Failure, Readback};

use super::trainer::Trainer;
use crate::{failure, world::World};

/// Steps after which tensors are compared, if no checkpoint does it earlier.
pub(super) const COMPARE_EVERY: u64 = 1000;

/// A comparison on its way to the host.
#[derive(Debug)]
pub(super) struct Comparison {
    step: u64,
    /// For each rank 1 if its tensors are not those of rank 0, else 0.
    differs: Readback,
}

impl Comparison {
    /// Queues a comparison of all tensors after a step, without waiting for it. Returns `None` for a process without
    /// others.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub(super) fn begin(trainer: &Trainer, world: World) -> Result<Option<Self>, Failure> {
        if !world.has_others() {
            return Ok(None);
        }
        let named = trainer.network().tensors().into_values().chain(trainer.moments().into_values());
        let own = Tensor::stack(&named.map(|tensor| sum_of_bits(&tensor)).collect::<Vec<_>>(), 0);
        let all = torchkit::caught(|| world.gather(&own.unsqueeze(0), 0))?;
        let differs = all.ne_tensor(&all.get(0)).any_dim(1, false).to_kind(Kind::Float);
        let on = Accelerator::of(own.device());
        Ok(Some(Self { step: trainer.step_count(), differs: Readback::queue(&differs, on)? }))
    }

    /// Waits for the comparison.
    ///
    /// # Errors
    ///
    /// If a process has other tensors than the others.
    pub(super) fn finish(self, world: World) -> Result<()> {
        let differs: Vec<_> = self.differs.read()?.into_iter().map(|differs| differs != 0.0).collect();
        let Some(rank) = odd_one(&differs) else { return Ok(()) };
        Err(failure!(
            "{} has other parameters than the other processes after step {}", world.members()[rank], self.step;
            "check the memory and the GPU of its machine; start all processes again to go on from the last checkpoint"
        ))
    }
}

/// Returns a number that each bit of a tensor changes.
fn sum_of_bits(tensor: &Tensor) -> Tensor {
    let bits = match tensor.kind() {
        Kind::Float => tensor.view_dtype(Kind::Int),
        Kind::Double => tensor.view_dtype(Kind::Int64),
        Kind::BFloat16 | Kind::Half => tensor.view_dtype(Kind::Int16),
        _ => tensor.shallow_clone(),
    };
    bits.sum(Kind::Int64)
}

/// Returns the first rank that differs from most others, where `differs` says which ranks differ from rank 0.
fn odd_one(differs: &[bool]) -> Option<usize> {
    let odd = differs.iter().position(|&differs| differs)?;
    let others = differs.iter().filter(|&&differs| differs).count();
    Some(if 2 * others > differs.len() { 0 } else { odd })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn each_bit_changes_the_sum() {
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Int64] {
            let tensor = Tensor::from_slice(&[1.0, -2.5, 0.0, 3e9]).to_kind(kind);
            let bytes = tensor.numel() * kind.elt_size_in_bytes();
            let mut all = vec![0u8; bytes];
            tensor.copy_data_u8(&mut all, tensor.numel());
            let sum = |bytes: &[u8]| sum_of_bits(&Tensor::from_data_size(bytes, &[4], kind)).int64_value(&[]);
            let expected = sum(&all);
            for bit in 0..8 * bytes {
                let mut changed = all.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(sum(&changed), expected, "{kind:?}: bit {bit}");
            }
        }
        assert_eq!(sum_of_bits(&Tensor::zeros([0], (Kind::Float, Device::Cpu))).int64_value(&[]), 0);
    }

    #[test]
    fn the_process_that_differs_from_most_others_is_the_odd_one() {
        assert_eq!(odd_one(&[false, false, false]), None);
        assert_eq!(odd_one(&[false, true]), Some(1));
        assert_eq!(odd_one(&[false, false, true, false]), Some(2));
        assert_eq!(odd_one(&[false, true, true]), Some(0));
    }
}
