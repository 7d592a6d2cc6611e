//! The loss of a process, and how the thread that notices it tells the thread that trains.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crossbeam::channel::{self, Receiver, Sender};

use super::member::Member;

/// A process that takes part no longer, so that nothing can be computed together any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The process.
    pub member: Member,
    /// The step that it was last known to make.
    pub step: u64,
    /// What happened to it.
    pub fate: Fate,
}

/// What happened to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It ended without a word.
    Ended,
    /// It was not heard of for this time.
    Silent(Duration),
    /// It failed, for this reason.
    Failed(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, step, fate } = self;
        let when = if *step == 0 { String::new() } else { format!(" at step {step}") };
        match fate {
            Fate::Ended => write!(f, "{member} ended{when}"),
            Fate::Silent(time) => {
                write!(f, "{member} has not answered for {} s{when}", time.as_secs_f64().round())
            }
            Fate::Failed(cause) => write!(f, "{member} failed{when}: {cause}"),
        }
    }
}

impl Error for Lost {}

impl Lost {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self.fate {
            Fate::Ended => {
                "find out from its messages, or the system's, why it ended; start all processes again to go on"
            }
            Fate::Silent(_) => {
                "check its machine and the network; end it if it still runs, and start all processes again to go on; \
                 --peer-timeout allows longer silence"
            }
            Fate::Failed(_) => "remove the cause, and start all processes again to go on",
        }
    }
}

/// The finding of the thread that watches the other processes.
#[derive(Debug)]
pub(super) struct Verdict {
    found: Mutex<Found>,
    changed: Condvar,
    /// Is disconnected by a report.
    channel: Receiver<Infallible>,
}

impl Default for Verdict {
    fn default() -> Self {
        let (sender, channel) = channel::bounded(0);
        let found = Found { listening: Some(sender), ..Found::default() };
        Self { found: Mutex::new(found), changed: Condvar::default(), channel }
    }
}

#[derive(Debug, Default)]
struct Found {
    lost: Option<Lost>,
    /// Nothing is sent: dropping it disconnects the channel.
    listening: Option<Sender<Infallible>>,
    /// Whether the thread that trains has read it.
    is_read: bool,
    /// Whether this process leaves the others, which may then end.
    is_over: bool,
}

impl Verdict {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a process that was lost.
    pub(super) fn give(&self, lost: Lost) {
        let mut found = self.found();
        (found.lost, found.listening) = (Some(lost), None);
        drop(found);
        self.changed.notify_all();
    }

    /// Returns a channel that a report disconnects.
    pub(super) fn channel(&self) -> Receiver<Infallible> {
        self.channel.clone()
    }

    /// Waits for a report at most for `timeout`, and returns it.
    pub(super) fn wait(&self, timeout: Duration) -> Option<Lost> {
        let found = self.found();
        let waited = self.changed.wait_timeout_while(found, timeout, |found| found.lost.is_none());
        let (mut found, _) = waited.unwrap_or_else(PoisonError::into_inner);
        found.is_read = found.lost.is_some();
        self.changed.notify_all();
        found.lost.clone()
    }

    /// Waits until the report was read, or the others no longer matter. Returns false after `timeout`.
    pub(super) fn wait_until_read(&self, timeout: Duration) -> bool {
        let waits = |found: &mut Found| !found.is_read && !found.is_over;
        let waited = self.changed.wait_timeout_while(self.found(), timeout, waits);
        let (found, _) = waited.unwrap_or_else(PoisonError::into_inner);
        found.is_read || found.is_over
    }

    /// Notes that this process leaves the others.
    pub(super) fn end(&self) {
        self.found().is_over = true;
        self.changed.notify_all();
    }

    /// Returns whether this process leaves the others.
    pub(super) fn is_over(&self) -> bool {
        self.found().is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(step: u64, fate: Fate) -> Lost {
        let member = Member { rank: 2, host: "node1".to_owned(), pid: 7, cores: Vec::new() };
        Lost { member, step, fate }
    }

    #[test]
    fn a_loss_names_rank_process_machine_and_step() {
        for (step, fate, expected) in [
            (41, Fate::Ended, "rank 2 (process 7 on node1) ended at step 41"),
            (0, Fate::Ended, "rank 2 (process 7 on node1) ended"),
            (
                9,
                Fate::Silent(Duration::from_millis(59_700)),
                "rank 2 (process 7 on node1) has not answered for 60 s at step 9",
            ),
            (
                9,
                Fate::Failed("no space left".to_owned()),
                "rank 2 (process 7 on node1) failed at step 9: no space left",
            ),
        ] {
            assert_eq!(lost(step, fate).to_string(), expected);
        }
    }

    #[test]
    fn a_report_reaches_the_thread_that_waits_for_it_and_its_reading_the_one_that_gave_it() {
        let verdict = Verdict::default();
        assert_eq!(verdict.wait(Duration::from_millis(1)), None);
        assert!(!verdict.wait_until_read(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| verdict.give(lost(1, Fate::Ended)));
            assert_eq!(verdict.wait(Duration::from_secs(60)), Some(lost(1, Fate::Ended)));
        });
        assert!(verdict.wait_until_read(Duration::from_secs(60)) && !verdict.is_over());
    }

    #[test]
    fn a_process_that_leaves_need_not_read_the_report() {
        let verdict = Verdict::default();
        verdict.end();
        verdict.give(lost(1, Fate::Ended));
        assert!(verdict.is_over() && verdict.wait_until_read(Duration::ZERO));
    }
}
