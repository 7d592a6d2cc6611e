//! `amdim-stream doctor`: checks a machine before an unattended run.

mod cgroup;
mod check;
mod clock;
mod folder;
mod gpu;
mod host;
mod run;

pub use self::run::{Args, run};
