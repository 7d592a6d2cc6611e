//! The examples in `contrib`.

mod container;
mod crontab;
mod index;
mod kubernetes;
mod pods;
mod slurm;
mod slurm_nodes;
mod support;
mod systemd;
mod torchrun;
mod watching;

pub(crate) use self::support::{files, parse, read, words};
