//! The flags of `doctor`, and the command.

use std::path::PathBuf;

use anyhow::Result;
use torchkit::DeviceChoice;

use super::{
    check::{Check, State},
    clock, folder, gpu, host,
};
use crate::failure;

/// The flags of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder to try, as in a run's --out; the trial leaves no files in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// auto, cpu, cuda or cuda:N, as in a run's --device
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

/// Makes every check and prints each result.
///
/// # Errors
/// If a check is bad.
pub fn run(args: &Args) -> Result<()> {
    let (mut count, mut bad) = (0, Vec::new());
    let mut print = |check: Check| -> Result<()> {
        count += 1;
        if check.state == State::Bad {
            bad.push(check.name);
        }
        check.print()
    };
    let gpu = gpu::check(args.device);
    gpu.checks.into_iter().try_for_each(&mut print)?;
    host::checks(gpu.device).into_iter().try_for_each(&mut print)?;
    let folder = folder::check(&args.out);
    folder.checks.into_iter().try_for_each(&mut print)?;
    print(clock::check(folder.clock_ahead))?;
    if !bad.is_empty() {
        return Err(
            failure!("{} of {count} checks are bad: {}", bad.len(), bad.join(", "); "apply the hints printed above"),
        );
    }
    Ok(())
}
