//! The processes that train together. Today there is one: each of these functions says where several will meet, and costs nothing.

use shards::Share;
use tch::Tensor;

/// The place of this process among those that train one network together, each on its share of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    rank: usize,
    size: usize,
}

impl World {
    /// A process that trains by itself.
    pub const ALONE: Self = Self { rank: 0, size: 1 };

    /// The number of this process, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn size(self) -> usize {
        self.size
    }

    /// Whether this is the process that writes checkpoints and records, and speaks to the user.
    pub fn is_lead(self) -> bool {
        self.rank == 0
    }

    /// The samples that this process reads.
    pub fn share(self) -> Share {
        Share { rank: self.rank, world_size: self.size }
    }

    /// The embeddings (v, n, …) of all processes as (v, size·n, …), in the order of their ranks. Gradients go back to those of this
    /// process, times the number of processes: their mean over the processes is then the gradient of the whole objective. An objective whose negatives are those of the whole batch is of these.
    pub fn gather(self, embeddings: &Tensor) -> Tensor {
        embeddings.shallow_clone()
    }

    /// Replaces tensors that every process has, gradients or metrics, by their means over the processes. `tensors` is asked for only
    /// where there are others.
    pub fn average(self, tensors: impl FnOnce() -> Vec<Tensor>) {
        debug_assert_eq!(self.size, 1, "several processes have no way to meet yet");
        drop(tensors);
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_process_by_itself_leads_reads_all_and_changes_nothing() {
        let world = World::ALONE;
        assert!(world.is_lead() && (world.rank(), world.size()) == (0, 1));
        assert_eq!(world.share(), Share::default());
        let tensor = Tensor::ones([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert_eq!(world.gather(&tensor).data_ptr(), tensor.data_ptr());
        world.average(|| unreachable!("nobody is there to average with"));
    }
}
