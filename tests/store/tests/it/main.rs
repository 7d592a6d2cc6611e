//! The server, observed by raw connections.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

mod client;
mod faults;
mod lists;
mod objects;
mod outages;
mod place;
mod program;
