//! Every check in turn.

use std::path::PathBuf;

use anyhow::Result;
use torchkit::DeviceChoice;

use super::{
    check::{Check, State},
    clock, folder, gpu, host,
};
use crate::failure;

/// What `doctor` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder to try, as a run's --out; nothing is left behind in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// auto, cpu, cuda or cuda:N, as a run's
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

/// Makes every check, and tells of each as it is made.
///
/// # Errors
/// If one is bad.
pub fn run(args: &Args) -> Result<()> {
    let (mut count, mut bad) = (0, Vec::new());
    let mut tell = |check: Check| -> Result<()> {
        count += 1;
        if check.state == State::Bad {
            bad.push(check.name);
        }
        check.tell()
    };
    let (device, gpu_checks) = gpu::checks(args.device);
    gpu_checks.into_iter().try_for_each(&mut tell)?;
    host::checks(device).into_iter().try_for_each(&mut tell)?;
    let (clock_ahead, folder_checks) = folder::checks(&args.out);
    folder_checks.into_iter().try_for_each(&mut tell)?;
    tell(clock::check(clock_ahead))?;
    if !bad.is_empty() {
        return Err(
            failure!("{} of {count} checks are bad: {}", bad.len(), bad.join(", "); "follow the hint of each above"),
        );
    }
    Ok(())
}
