//! The processes that train one network together, and every operation in which they take part jointly.
//!
//! Today there is one process, so each operation returns its argument, or does its work, without any cost.
//! Several processes need an implementation of [`World::gather`], [`World::average`], [`World::any`] and of
//! the wait in [`World::on_lead`]; the callers stay as they are.

use anyhow::Result;
use shards::Division;
use tch::Tensor;

use crate::views::Views;

/// The place of this process among those that train one network together, each on its share of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    rank: usize,
    size: usize,
}

impl World {
    /// A process that trains without others.
    pub const ALONE: Self = Self { rank: 0, size: 1 };

    /// Returns the place of this process in the training that it was started for. It trains without others so
    /// far. The program calls this once; commands that do not train have [`ALONE`](Self::ALONE).
    pub fn join() -> Self {
        Self::ALONE
    }

    /// Makes rank `rank` of `size` processes, for tests of processes other than the lead.
    #[cfg(test)]
    pub(crate) const fn made_up(rank: usize, size: usize) -> Self {
        Self { rank, size }
    }

    /// The number of this process, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn size(self) -> usize {
        self.size
    }

    /// Returns whether this process writes the run folder and shows messages: rank 0 does.
    pub fn is_lead(self) -> bool {
        self.rank == 0
    }

    /// Does work on the lead alone, such as writing to the run folder. Returns `None` on the other processes,
    /// which wait until the lead has finished.
    ///
    /// # Errors
    ///
    /// The errors of `work`.
    pub fn on_lead<T>(self, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        if self.is_lead() { work().map(Some) } else { Ok(None) }
    }

    /// Returns how batches of `batch` samples, those of all processes together, are divided into parts and among
    /// the processes.
    pub fn division(self, batch: usize, parts: usize) -> Division {
        Division { rank: self.rank, ranks: self.size, batch, parts }
    }

    /// Returns the number of samples in the batches of all processes, where this one has `n`.
    pub fn samples(self, n: i64) -> i64 {
        n * self.size as i64
    }

    /// Returns the embeddings (v, n, …) of all processes as (v, size·n, …), in the order of ranks, so that
    /// the negatives of an objective come from all of them.
    ///
    /// Gradients go back to the embeddings of this process alone, multiplied by the number of processes:
    /// their mean over the processes ([`average`](Self::average)) is then the gradient of the objective of
    /// all samples.
    pub fn gather(self, embeddings: &Tensor) -> Tensor {
        embeddings.shallow_clone()
    }

    /// Returns a batch whose labels and indices are those of all processes (size·n), in the order of
    /// [`gather`](Self::gather): a method that uses them finds the sample of each embedding. Images stay
    /// those of this process.
    pub fn gather_samples(self, views: &Views) -> Views {
        Views {
            groups: views.groups.iter().map(Tensor::shallow_clone).collect(),
            labels: self.gather(&views.labels),
            indices: self.gather(&views.indices),
            next: views.next,
        }
    }

    /// Replaces tensors that every process has (gradients, sums of metrics, batch statistics) by their means
    /// over the processes, in place. With one process `tensors` is not called.
    pub fn average(self, tensors: impl FnOnce() -> Vec<Tensor>) {
        debug_assert_eq!(self.size, 1, "there is one process so far");
        drop(tensors);
    }

    /// Returns whether `claim` holds on any process: a decision after which all of them go the same way.
    pub fn any(self, claim: bool) -> bool {
        claim
    }
}

#[cfg(test)]
mod tests {
    use shards::Position;
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_process_without_others_leads_reads_all_samples_and_changes_nothing() {
        let world = World::join();
        assert!(world.is_lead() && (world.rank(), world.size(), world.samples(8)) == (0, 1, 8));
        assert_eq!(world.division(1, 1), Division::default());
        assert_eq!(world.on_lead(|| Ok(7)).unwrap(), Some(7));
        assert!(world.any(true) && !world.any(false));
        let tensor = Tensor::ones([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert_eq!(world.gather(&tensor).data_ptr(), tensor.data_ptr());
        let [images, labels, indices] = [0, 1, 2].map(|_| tensor.detach());
        let views = Views { groups: vec![images], labels, indices, next: Position::default() };
        assert_eq!(world.gather_samples(&views).labels.data_ptr(), views.labels.data_ptr());
        world.average(|| unreachable!("there is no other process"));
    }

    #[test]
    fn a_process_that_does_not_lead_does_none_of_the_leads_work() {
        let second = World::made_up(1, 2);
        assert!(!second.is_lead());
        assert_eq!(second.on_lead(|| -> Result<()> { unreachable!("rank 1 does not lead") }).unwrap(), None);
        assert_eq!((second.division(16, 2).rank, second.samples(8)), (1, 16));
    }
}
