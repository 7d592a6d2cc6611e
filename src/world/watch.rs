//! The thread that watches the other processes.
//!
//! All processes exchange the numbers of their steps a few times a second. Where one ends, this fails at once, and
//! where one does not answer, after a timeout. Whoever notices it closes all connections, so that all others notice it
//! too, and no operation waits any longer. A roll call through the store then tells who is missing.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tch::Tensor;

use super::{
    lost::{Fate, Lost},
    peers::{Ending, Peers},
};
use crate::exit::{self, Code};

/// The time between two exchanges.
const BEAT: Duration = Duration::from_millis(200);
/// The time that a roll call takes at most.
const ROLL_CALL: Duration = Duration::from_millis(700);
/// The time that a process waits for the others before it ends.
const TOLD: Duration = Duration::from_millis(1500);
/// The time within which the thread that trains must notice a loss.
const NOTICED: Duration = Duration::from_secs(20);
/// That of the lead, which may be writing a checkpoint.
const SAVED: Duration = Duration::from_secs(600);

/// Starts the thread.
pub(super) fn spawn(peers: &'static Peers) -> Result<()> {
    let spawned = thread::Builder::new().name("watch".to_owned()).spawn(|| watch(peers));
    spawned.map(drop).context("cannot start the thread `watch`")
}

fn watch(peers: &Peers) {
    let mut steps = vec![0; peers.members.len()];
    let mut heard = Instant::now();
    loop {
        let own = Tensor::from_slice(&[peers.step().cast_signed()]);
        match peers.watched.all_gather(&own) {
            Ok(all) => steps = Vec::<i64>::try_from(all).expect("a step for each rank"),
            Err(failure) => {
                tracing::debug!("the watch of other processes ends: {failure}");
                break;
            }
        }
        heard = Instant::now();
        thread::sleep(BEAT);
    }
    if !peers.verdict.is_over() {
        report(peers, &steps, heard.elapsed());
    }
}

/// Finds out which process was lost, and tells the thread that trains.
fn report(peers: &Peers, steps: &[i64], silence: Duration) {
    peers.close();
    let fate = if silence > peers.patience / 3 { Fate::Silent(silence) } else { Fate::Ended };
    let (rank, fate) = roll_call(peers, fate);
    leave(peers, &told(peers.watched.rank()), b"");
    let lost = Lost { member: peers.members[rank].clone(), step: steps[rank].max(0).cast_unsigned(), fate };
    peers.verdict.give(lost.clone());
    let patience = if peers.watched.rank() == 0 { SAVED } else { NOTICED };
    if !peers.verdict.wait_until_read(patience.max(peers.patience)) {
        tracing::error!("{lost}; this process ends too, as its own work has not noticed it");
        exit::at_once(Code::Failed);
    }
}

/// Returns the rank that does not answer through the store, and what happened to it: it failed with a reason that it
/// has left there, or the `likely` thing.
fn roll_call(peers: &Peers, likely: Fate) -> (usize, Fate) {
    let store = peers.store.answering_within(Duration::from_millis(500));
    let deadline = Instant::now() + ROLL_CALL;
    let ranks = 0..peers.members.len();
    if store.set(&here(peers.watched.rank()), b"").is_err() {
        return (0, likely); // which serves the store, or is on the machine that does
    }
    loop {
        let failed = |rank| store.has(&failed(rank)).unwrap_or(false);
        if let Some(rank) = ranks.clone().find(|&rank| failed(rank)) {
            let cause = store.get(&self::failed(rank), Duration::from_millis(500)).unwrap_or_default();
            return (rank, Fate::Failed(String::from_utf8_lossy(&cause).into_owned()));
        }
        let missing = ranks.clone().find(|&rank| !store.has(&here(rank)).unwrap_or(false));
        match missing {
            Some(rank) if Instant::now() >= deadline => return (rank, likely),
            // All answer, but a connection between two of them broke.
            None => return (usize::from(peers.watched.rank() == 0), likely),
            Some(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Leaves the reason of this process's failure for the others.
pub(super) fn leave_reason(peers: &Peers, reason: &str) {
    leave(peers, &failed(peers.watched.rank()), reason.as_bytes());
}

fn leave(peers: &Peers, key: &str, value: &[u8]) {
    let store = peers.store.answering_within(Duration::from_millis(500));
    if let Err(failure) = store.set(key, value) {
        tracing::debug!("the other processes cannot be told: {failure}");
    }
}

/// Waits, before this process ends, until the others know what they want to know of it: the lead until they have read in
/// the store, which it may serve, who was lost; the others until the lead has reported an error, since a launcher may end
/// it as soon as they end.
pub(super) fn linger(peers: &Peers, ending: Ending) {
    let own = peers.watched.rank();
    let keys: Vec<_> = if own == 0 {
        leave(peers, REPORTED, b"");
        (1..peers.members.len()).filter(|&rank| ending.lost != Some(rank)).map(told).collect()
    } else {
        leave(peers, &told(own), b"");
        ending.is_relayed.then(|| REPORTED.to_owned()).into_iter().collect()
    };
    let (store, deadline) = (peers.store.answering_within(TOLD), Instant::now() + TOLD);
    for key in keys {
        while Instant::now() < deadline && !store.has(&key).unwrap_or(true) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The key by which the lead says that it has reported an error.
const REPORTED: &str = "reported";

/// The key by which a rank says that it knows who was lost.
fn told(rank: usize) -> String {
    format!("told/{rank}")
}

fn here(rank: usize) -> String {
    format!("here/{rank}")
}

fn failed(rank: usize) -> String {
    format!("failed/{rank}")
}
