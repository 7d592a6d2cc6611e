//! The server of `--listen`: a page that shows the run, its numbers for Prometheus, and events of new records.
//!
//! A thread of its own serves a bounded number of connections. A reader that is slow or silent costs the run
//! nothing: what it does not read is dropped, and after a while its connection is closed.

mod answer;
mod connections;
mod door;
mod live;
mod patient;
mod serve;
mod token;

pub(crate) use self::{
    answer::{Page, Pages, SCRIPT},
    door::Door,
    serve::Server,
    token::Token,
};
