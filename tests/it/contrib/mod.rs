//! The examples in `contrib`.

mod container;
mod crontab;
mod kubernetes;
mod slurm;
mod support;
mod systemd;

pub(crate) use self::support::{files, parse, words};
