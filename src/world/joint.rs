//! A process's place among those that train one network together, and its joint operations on tensors.
//!
//! The samples of a batch lie on the processes as `shards::Division` says: the batch is encoded in parts, and each
//! process has an equal span of each part. [`World::gather`] puts them into the order that one process has.
//!
//! A process without others computes nothing here: each operation returns its argument.

use std::{collections::BTreeSet, panic::panic_any};

use anyhow::Result;
use shards::Division;
use tch::{Kind, Tensor};
use torchkit::{Group, ReduceOp, Reducer};

#[cfg(test)]
use super::faults;
use super::{member::Member, peers::Peers};

/// The place of this process among those that train one network together, each on its share of the samples.
#[derive(Debug, Clone, Copy)]
pub struct World {
    rank: usize,
    size: usize,
    parts: usize,
    /// The number among the processes of its machine that its launcher has given it.
    local_rank: Option<usize>,
    /// None for a process that trains without others.
    peers: Option<&'static Peers>,
    /// A fault that a test puts in.
    #[cfg(test)]
    fault: Option<faults::Fault>,
}

/// A program is in one group, which is not compared.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        (self.rank, self.size, self.parts) == (other.rank, other.size, other.parts)
    }
}

impl Eq for World {}

impl World {
    /// A process that trains without others.
    pub const ALONE: Self = Self {
        rank: 0,
        size: 1,
        parts: 1,
        local_rank: None,
        peers: None,
        #[cfg(test)]
        fault: None,
    };

    /// Returns the place of the process with this rank among its peers.
    pub(super) fn of(rank: usize, local_rank: Option<usize>, peers: &'static Peers) -> Self {
        Self { rank, size: peers.members.len(), local_rank, peers: Some(peers), ..Self::ALONE }
    }

    /// Makes rank `rank` of `size` processes, for tests of processes other than the lead.
    #[cfg(test)]
    pub(crate) const fn made_up(rank: usize, size: usize) -> Self {
        Self { rank, size, ..Self::ALONE }
    }

    /// Returns the same processes, which encode each batch in `parts` parts.
    #[must_use]
    pub fn in_parts(self, parts: usize) -> Self {
        Self { parts, ..self }
    }

    /// The number of this process, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn size(self) -> usize {
        self.size
    }

    /// Returns whether other processes train with this one.
    pub fn has_others(self) -> bool {
        self.peers.is_some()
    }

    /// Returns whether this process writes the run folder and shows messages: rank 0 does.
    pub fn is_lead(self) -> bool {
        self.rank == 0
    }

    /// Returns the other processes' connections; none for a process without others.
    pub(super) fn peers(self) -> Option<&'static Peers> {
        self.peers
    }

    /// Returns the group of joint operations; none for a process without others.
    pub(super) fn group(self) -> Option<&'static Group> {
        self.peers.map(Peers::group)
    }

    /// Returns all processes, by rank; none for a process without others.
    pub fn members(self) -> &'static [Member] {
        self.peers.map_or(&[], |peers| &peers.members)
    }

    /// Returns the number of machines.
    pub fn machines(self) -> usize {
        let hosts: BTreeSet<_> = self.members().iter().map(|member| &member.host).collect();
        hosts.len().max(1)
    }

    /// Returns the number of this process among those of its machine, from 0: that of its launcher, or else by rank.
    pub fn local_rank(self) -> usize {
        let members = self.members();
        let is_here = |other: &&Member| other.host == members[self.rank].host;
        self.local_rank.unwrap_or_else(|| members.iter().take(self.rank).filter(is_here).count())
    }

    /// Returns the number of processes that compute on the cores of this one, itself included.
    pub fn sharing_cores(self) -> usize {
        let members = self.members();
        members.iter().filter(|other| other.shares_cores_with(&members[self.rank])).count().max(1)
    }

    /// Connects the current CUDA devices of all processes, so that joint operations take tensors of devices.
    ///
    /// # Errors
    ///
    /// If the program was built without NCCL, or another process is lost.
    pub fn connect_devices(self) -> Result<()> {
        self.peers.map_or(Ok(()), |peers| Ok(peers.connect_devices()?))
    }

    /// Returns what averages the gradients of these parameters over the processes while they are computed; `None` for
    /// a process without others.
    ///
    /// # Errors
    ///
    /// If another process is lost, or has other parameters.
    pub fn reducer(self, parameters: &[Tensor]) -> Result<Option<Reducer>> {
        let Some(group) = self.group() else { return Ok(None) };
        Ok(Some(Reducer::new(group, &parameters.iter().collect::<Vec<_>>())?))
    }

    /// Replaces tensors by those of the lead.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn follow_lead(self, tensors: impl FnOnce() -> Vec<Tensor>) -> Result<()> {
        if let Some(group) = self.group() {
            group.broadcast(&tensors().iter().collect::<Vec<_>>(), 0)?;
        }
        Ok(())
    }

    /// Returns the rows (n, …) of all processes, which may have different numbers of them, in the order of ranks.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn rows(self, own: &Tensor) -> Result<Tensor> {
        let Some(group) = self.group() else { return Ok(own.shallow_clone()) };
        let count = own.size()[0];
        let counts = Vec::<i64>::try_from(group.all_gather(&Tensor::from_slice(&[count]))?)?;
        let most = counts.iter().copied().max().unwrap_or(0);
        let mut padded = own.size();
        padded[0] = most;
        let sent = own.new_zeros(&padded[..], (own.kind(), own.device()));
        sent.narrow(0, 0, count).copy_(own);
        let all = group.all_gather(&sent)?;
        let of_rank = |(rank, count): (i64, &i64)| all.narrow(0, rank * most, *count);
        Ok(Tensor::cat(&(0..).zip(&counts).map(of_rank).collect::<Vec<_>>(), 0))
    }

    /// Returns the numbers of all processes, by rank; each has equally many.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn numbers<const N: usize>(self, own: [f64; N]) -> Result<Vec<[f64; N]>> {
        let Some(group) = self.group() else { return Ok(vec![own]) };
        let all = Vec::<f64>::try_from(group.all_gather(&Tensor::from_slice(&own))?)?;
        Ok(all.chunks_exact(N).map(|of_rank| std::array::from_fn(|number| of_rank[number])).collect())
    }

    /// Returns the span of `count` things that this process takes, where all processes share them: the spans follow each
    /// other in the order of ranks.
    pub fn share(self, count: u64) -> std::ops::Range<u64> {
        let start = |rank: usize| (u128::from(count) * rank as u128 / self.size as u128) as u64;
        start(self.rank)..start(self.rank + 1)
    }

    /// Notes the step under way, which the other processes are told.
    pub fn note_step(self, step: u64) {
        if let Some(peers) = self.peers {
            peers.note_step(step);
        }
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

    /// Returns `own`, which has a row for each of the n samples of this process along `dim`, with the rows of all
    /// processes (size·n), in the order that the batch has on one process.
    ///
    /// This is for an objective that every process computes as a whole: the gradient of `own` is that of its rows
    /// times the number of processes, so that the mean over the processes ([`average`](Self::average)) is the
    /// gradient of the objective. Nothing is sent on the way back.
    pub fn gather(self, own: &Tensor, dim: i64) -> Tensor {
        let Some(group) = self.group() else { return own.shallow_clone() };
        let rows = group.gather_own_gradient(&own.transpose(0, dim).contiguous());
        #[cfg(test)]
        let rows = self.with_faulty_gradient(rows);
        self.ordered(&rows).transpose(0, dim)
    }

    /// Returns `own` (n, …) with the rows of all processes (size·n, …), in the order of ranks.
    ///
    /// This is for an objective of which every process computes a part, so that their mean is the whole: the
    /// gradient of `own` is the sum over the processes of the gradients of its rows.
    pub fn gather_for_parts(self, own: &Tensor) -> Tensor {
        let Some(group) = self.group() else { return own.shallow_clone() };
        let rows = group.gather_with_gradient(&own.contiguous());
        #[cfg(test)]
        let rows = self.with_faulty_gradient(rows);
        rows
    }

    /// [Gathers](Self::gather_for_parts) several tensors of one shape (n, d) at once, in f32 or f64.
    pub fn gather_together<const N: usize>(self, own: [&Tensor; N]) -> [Tensor; N] {
        if self.size == 1 {
            return own.map(Tensor::shallow_clone);
        }
        let stacked = Tensor::stack(&own, 1);
        let kind = if stacked.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let all = self.gather_for_parts(&stacked.to_kind(kind));
        std::array::from_fn(|number| all.select(1, number as i64))
    }

    /// Returns the largest over the processes of each number of a tensor that every process has, without a graph.
    pub fn largest(self, own: &Tensor) -> Tensor {
        let Some(group) = self.group() else { return own.shallow_clone() };
        let largest = own.detach().copy();
        group.all_reduce(&[&largest], ReduceOp::Max).unwrap_or_else(|failure| panic_any(failure));
        largest
    }

    /// Returns the rows of this process of sums over the processes, in the order of ranks: for addends (size·n,
    /// …), the sums (n, …). Gradients go back to the addends of all processes.
    pub fn sum_scattered(self, addends: &Tensor) -> Tensor {
        let Some(group) = self.group() else { return addends.shallow_clone() };
        #[cfg(test)]
        if self.fault == Some(faults::Fault::OwnNegatives) {
            let own = addends.size()[0] / self.size as i64;
            return addends.narrow(0, self.rank as i64 * own, own);
        }
        group.sum_scattered_with_gradient(&addends.contiguous())
    }

    /// Returns the mean over the processes of a tensor that each has. Gradients go back to those of all processes.
    pub fn mean(self, own: &Tensor) -> Tensor {
        let Some(group) = self.group() else { return own.shallow_clone() };
        #[cfg(test)]
        if self.fault == Some(faults::Fault::OwnStatistics) {
            return own.shallow_clone();
        }
        group.sum_with_gradient(&own.contiguous()) / self.size as f64
    }

    /// Returns the rows of this process of a tensor that has a row for each sample of all processes along `dim`,
    /// in the order of [`gather`](Self::gather).
    pub fn own(self, all: &Tensor, dim: i64) -> Tensor {
        if self.size == 1 {
            return all.shallow_clone();
        }
        let (parts, size, rank) = (self.parts as i64, self.size as i64, self.rank as i64);
        #[cfg(test)]
        let rank = if self.fault == Some(faults::Fault::SameDraws) { 0 } else { rank };
        all.unflatten(dim, [parts, size, -1]).select(dim + 1, rank).flatten(dim, dim + 1)
    }

    /// Puts rows (size·n, …), which are in the order of ranks, into that of the batch.
    fn ordered(self, rows: &Tensor) -> Tensor {
        if self.parts == 1 {
            return rows.shallow_clone();
        }
        rows.unflatten(0, [self.size as i64, self.parts as i64, -1]).transpose(0, 1).flatten(0, 2)
    }

    /// Replaces tensors that every process has (gradients, sums of metrics, batch statistics) by their means
    /// over the processes, in place. With one process `tensors` is not called.
    ///
    /// # Errors
    ///
    /// If another process is lost or does not answer.
    pub fn average(self, tensors: impl FnOnce() -> Vec<Tensor>) -> Result<()> {
        if let Some(group) = self.group() {
            group.mean(&tensors().iter().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Returns the number of bytes that this process has sent to others in joint operations.
    pub fn sent_bytes(self) -> u64 {
        self.group().map_or(0, Group::sent_bytes)
    }
}

#[cfg(test)]
impl World {
    /// Returns the same processes with a fault.
    pub(crate) fn with_fault(self, fault: faults::Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Returns gathered rows (size·n, …) with the fault in them or in their gradient.
    fn with_faulty_gradient(self, rows: Tensor) -> Tensor {
        let size = self.size as i64;
        let scaled = |factor: f64| &rows * factor + (&rows * (1.0 - factor)).detach();
        match self.fault {
            Some(faults::Fault::NoGradient) => rows.detach(),
            Some(faults::Fault::TooLargeGradient) if rows.is_floating_point() => scaled(size as f64),
            Some(faults::Fault::TooSmallGradient) if rows.is_floating_point() => scaled(1.0 / size as f64),
            Some(faults::Fault::OwnRows) => {
                let own = rows.size()[0] / size;
                let places = Tensor::arange(own, (Kind::Int64, rows.device())) + own * self.rank as i64;
                rows.index_select(0, &places.repeat([size]))
            }
            _ => rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn a_process_without_others_leads_reads_all_samples_and_changes_nothing() {
        let world = World::ALONE;
        assert!(world.is_lead() && (world.rank(), world.size(), world.samples(8)) == (0, 1, 8));
        assert_eq!(world.division(1, 1), Division::default());
        assert!(world.any(true).unwrap() && !world.any(false).unwrap());
        world.wait().unwrap();
        let tensor = Tensor::ones([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let [one, two] = world.gather_together([&tensor, &tensor]);
        let same = [
            world.gather(&tensor, 1),
            world.gather_for_parts(&tensor),
            world.sum_scattered(&tensor),
            world.mean(&tensor),
            world.largest(&tensor),
            world.own(&tensor, 0),
            one,
            two,
        ];
        assert!(same.iter().all(|other| other.data_ptr() == tensor.data_ptr()));
        world.average(|| unreachable!("there is no other process")).unwrap();
    }

    #[test]
    fn a_process_that_does_not_lead_does_none_of_the_leads_work() {
        let second = World::made_up(1, 2);
        assert!(!second.is_lead());
        assert_eq!((second.division(16, 2).rank, second.samples(8)), (1, 16));
    }
}
