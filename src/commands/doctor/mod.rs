//! `amdim-stream doctor`: checks a machine before an unattended run, or all machines of several processes.

mod cgroup;
mod check;
mod clock;
mod folder;
mod gpu;
mod host;
mod peers;
mod run;
mod server;

pub use self::run::{Args, run};
