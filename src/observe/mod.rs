//! Everything by which a run is watched while it trains.
//!
//! The training thread hands each record to the observer and never waits for it: a thread of its own passes records on
//! to every watcher. `metrics.jsonl` stays the truth, and everything else can be made of it again.

mod board;
mod gauges;
mod observer;
pub mod prometheus;
mod server;
pub mod tensorboard;
mod trace;

pub(crate) use self::{
    board::Board,
    gauges::Gauges,
    observer::{Observer, Watcher},
    server::{Door, Page, Pages, SCRIPT, Server, Token},
    trace::Trace,
};
