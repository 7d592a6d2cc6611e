//! The agreement of all processes of a run to stop.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering::SeqCst},
};

use anyhow::Result;

use crate::world::{Largest, World};

/// The reason for which a run stops before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A signal asked for it.
    Signal,
    /// The deadline is near.
    Time,
}

/// What all processes do next in work of which each does its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// They go on: at least one of them has more to do.
    GoOn,
    /// All of them are done.
    Done,
    /// They stop.
    Stop,
}

/// What the processes of a run have agreed on, and the question that is on its way.
///
/// What a process wants is a number, and the largest one decides: 0 to go on, 1 to stop as time runs out, 2 + r to stop
/// as rank r has got a signal.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    agreed: AtomicI64,
    coming: Mutex<Option<Largest>>,
}

const GO_ON: i64 = 0;
const TIME: i64 = 1;
/// The number of rank 0 with a signal.
const SIGNAL: i64 = 2;

fn number(world: World, wish: Option<StopReason>) -> i64 {
    match wish {
        None => GO_ON,
        Some(StopReason::Time) => TIME,
        Some(StopReason::Signal) => SIGNAL + world.rank() as i64,
    }
}

impl Agreement {
    /// Asks all processes. Returns whether they stop.
    pub(super) fn reach(&self, world: World, wish: Option<StopReason>) -> Result<bool> {
        if self.is_reached() {
            return Ok(true);
        }
        let agreed = world.begin_largest(number(world, wish))?.wait()?;
        Ok(self.note(world, agreed))
    }

    /// Asks all processes for the next call, and returns what they have answered to the last one. One process answers
    /// at once.
    pub(super) fn reach_ahead(&self, world: World, wish: Option<StopReason>) -> Result<bool> {
        if !world.has_others() || self.is_reached() {
            return self.reach(world, wish);
        }
        let next = world.begin_largest(number(world, wish))?;
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner).replace(next);
        let agreed = coming.map_or(Ok(GO_ON), Largest::wait)?;
        Ok(self.note(world, agreed))
    }

    /// Asks all processes whether they stop, or have more to do.
    pub(super) fn next(&self, world: World, wish: Option<StopReason>, more: bool) -> Result<Next> {
        if self.is_reached() {
            return Ok(Next::Stop);
        }
        let own = 2 * number(world, wish) + i64::from(more);
        let agreed = world.begin_largest(own)?.wait()?;
        if self.note(world, agreed / 2) {
            return Ok(Next::Stop);
        }
        Ok(if agreed == 0 { Next::Done } else { Next::GoOn })
    }

    /// Returns whether all have agreed to stop, which binds them: each of them knows it since the same question.
    fn is_reached(&self) -> bool {
        self.agreed.load(SeqCst) != GO_ON
    }

    /// Notes an answer. Returns whether it is to stop.
    fn note(&self, world: World, agreed: i64) -> bool {
        if agreed == GO_ON {
            return false;
        }
        let before = self.agreed.swap(agreed, SeqCst);
        let rank = usize::try_from(agreed - SIGNAL).ok().filter(|&rank| rank != world.rank());
        if let Some(rank) = rank.filter(|_| before == GO_ON) {
            tracing::info!("{} was told to stop", world.members()[rank]);
        }
        true
    }

    /// Returns the reason for which all processes stop.
    pub(super) fn reason(&self) -> Option<StopReason> {
        match self.agreed.load(SeqCst) {
            GO_ON => None,
            TIME => Some(StopReason::Time),
            _ => Some(StopReason::Signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_decides_at_once_and_remembers_the_reason() {
        let agreement = Agreement::default();
        let world = World::ALONE;
        assert!(!agreement.reach(world, None).unwrap() && !agreement.reach_ahead(world, None).unwrap());
        assert_eq!(agreement.next(world, None, true).unwrap(), Next::GoOn);
        assert_eq!(agreement.next(world, None, false).unwrap(), Next::Done);
        assert_eq!(agreement.reason(), None);
        assert!(agreement.reach_ahead(world, Some(StopReason::Time)).unwrap());
        assert_eq!(agreement.reason(), Some(StopReason::Time));
        assert!(agreement.reach(world, None).unwrap() && agreement.reach_ahead(world, None).unwrap());
        assert_eq!(agreement.next(world, Some(StopReason::Signal), true).unwrap(), Next::Stop);
        assert_eq!(agreement.reason(), Some(StopReason::Time), "the first reason stays");
    }
}
