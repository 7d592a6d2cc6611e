//! `amdim-stream doctor`: looks over a machine before a run is left alone on it.

mod cgroup;
mod check;
mod clock;
mod folder;
mod gpu;
mod host;
mod run;

pub use self::run::{Args, run};
