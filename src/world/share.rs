//! Work that is divided among the processes, and what they tell the lead of it.

use std::{cmp::Reverse, collections::BTreeSet, io::Read};

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::{joint::World, relayed::Told};
use crate::hint::Hinted;

/// The most bytes that travel to the lead at once.
const BLOCK: u64 = 16 << 20;

impl World {
    /// Deals things of these costs to all processes, so that each is about equally busy. Returns the numbers of those that
    /// this process takes, in order. All processes must give the same costs.
    pub fn deal(self, costs: &[u64]) -> Vec<usize> {
        let mut numbers: Vec<_> = (0..costs.len()).collect();
        numbers.sort_by_key(|&number| Reverse(costs[number]));
        // What each process has: the cost, the number of things, as some cost nothing, and its rank.
        let mut loads: BTreeSet<_> = (0..self.size()).map(|rank| (0, 0, rank)).collect();
        let mut own = Vec::new();
        for number in numbers {
            let Some((cost, count, rank)) = loads.pop_first() else { continue };
            loads.insert((cost + u128::from(costs[number]), count + 1, rank));
            if rank == self.rank() {
                own.push(number);
            }
        }
        own.sort_unstable();
        own
    }

    /// Returns the result of work that every process has done, if all of them succeeded. Otherwise the lead reports the
    /// error of the first one, by rank, that failed.
    ///
    /// # Errors
    ///
    /// That error, with its exit code, on all processes; or if another process is lost.
    pub fn all<T>(self, own: Result<T>) -> Result<T> {
        if !self.has_others() {
            return own;
        }
        let all = self.every(&own.as_ref().err().map(Told::of))?;
        let failed = all.into_iter().enumerate().find_map(|(rank, told)| Some((rank, told?)));
        let Some((rank, told)) = failed else { return own };
        match own {
            Err(error) if rank == 0 && self.is_lead() => Err(error),
            _ if self.is_lead() => {
                let message = format!("{}: {}", self.members()[rank], told.causes);
                Err(Hinted::error(told.code(), message, told.hints))
            }
            _ => Err(told.relayed()),
        }
    }

    /// Passes `length` bytes of each process but the lead to the lead, which `take`s them in blocks, with the rank that
    /// they come from: those of rank 1, then those of rank 2, and so on. Every process receives them, one block at a time.
    ///
    /// # Errors
    ///
    /// If the bytes cannot be read, those of `take`, or if another process is lost.
    pub fn to_lead(
        self,
        mut own: impl Read,
        length: u64,
        mut take: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(group) = self.group() else { return Ok(()) };
        let lengths = self.every(&length)?;
        for (rank, mut left) in lengths.into_iter().enumerate().skip(1) {
            while left > 0 {
                let size = left.min(BLOCK);
                let block = if rank == self.rank() {
                    let mut bytes = vec![0; size as usize];
                    own.read_exact(&mut bytes).context("cannot read what is sent to the lead")?;
                    Tensor::from_slice(&bytes)
                } else {
                    Tensor::zeros([size.cast_signed()], (Kind::Uint8, Device::Cpu))
                };
                group.broadcast(&[&block], rank)?;
                if self.is_lead() {
                    take(rank, &Vec::try_from(&block)?)?;
                }
                left -= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exit::Code, hint};

    /// Returns what each of `size` processes is dealt.
    fn dealt(costs: &[u64], size: usize) -> Vec<Vec<usize>> {
        (0..size).map(|rank| World::made_up(rank, size).deal(costs)).collect()
    }

    #[test]
    fn every_thing_is_dealt_once_and_no_process_has_much_more_than_another() {
        assert_eq!(World::ALONE.deal(&[3, 1, 2]), [0, 1, 2]);
        assert_eq!(dealt(&[9, 1, 1, 1, 1, 5], 2), [vec![0], vec![1, 2, 3, 4, 5]]);
        assert_eq!(dealt(&[0, 0, 0, 0], 2), [vec![0, 2], vec![1, 3]]);
        assert_eq!(dealt(&[4], 3), [vec![0], vec![], vec![]]);
        let costs: Vec<u64> = (0..100).map(|number| number * number % 37).collect();
        let hands = dealt(&costs, 7);
        let mut all: Vec<_> = hands.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        let loads = hands.iter().map(|hand| hand.iter().map(|&number| costs[number]).sum::<u64>());
        let (least, most) = (loads.clone().min().unwrap(), loads.max().unwrap());
        assert!(most - least <= 36, "{least} to {most}");
    }

    #[test]
    fn one_process_keeps_its_results_and_its_errors() {
        let world = World::ALONE;
        assert_eq!(world.all(Ok(7)).unwrap(), 7);
        let error = crate::usage!("a contradiction"; "leave one out");
        let error = world.all::<()>(Err(error)).unwrap_err();
        assert_eq!(
            (hint::code(&error), hint::hints(&error)),
            (Code::Usage, vec!["leave one out".to_owned()])
        );
        world.to_lead(&b"own"[..], 3, |_, _| unreachable!("there is no other process")).unwrap();
    }
}
