//! Shared code of the benches: CPU time, medians, and a plain table on stdout.
//!
//! A bench is an ordinary program (`harness = false`). It builds its own data, measures a few quantities and
//! prints a row for each:
//!
//! ```text
//! #[path = "common/mod.rs"]       // "../benches/common/mod.rs" from another crate's folder
//! mod common;
//!
//! fn main() {
//!     let mut table = common::Table::new("decode");
//!     let time = common::measure(5, || decode(&jpeg));    // one warm-up, then the median of five
//!     table.row("decode", 1.0 / time.wall_s, "images/s");
//!     table.row("decode, CPU", time.thread_s * 1e6, "µs/image");
//! }                                                       // each row is printed immediately, to show progress
//! ```
#![allow(unreachable_pub, reason = "a bench is a binary, which exports nothing")]
#![allow(dead_code, unused_imports, reason = "not every bench uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between benches")]
#![expect(clippy::print_stdout, reason = "a bench's results go to stdout")]

mod table;
mod time;

pub use self::{
    table::Table,
    time::{Time, in_turns, measure, once, process_cpu_s, thread_cpu_s},
};
