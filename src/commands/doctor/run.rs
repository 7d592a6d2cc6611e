//! The flags of `doctor`, and the command.

use std::path::PathBuf;

use anyhow::Result;
use tch::Device;
use torchkit::DeviceChoice;

use super::{
    check::{Check, State},
    clock, folder, gpu, host, peers, server,
};
use crate::{device, failure, servers::ServerArgs, world::World};

/// The flags of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder to try, as in a run's --out; the trial leaves no files in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// auto, cpu, cuda or cuda:N, as in a run's --device
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Shards on servers: also try to read them, and measure the line
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    pub shards: Vec<String>,
    /// How they are read
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// The checks that were printed.
#[derive(Default)]
struct Printed {
    count: usize,
    bad: Vec<String>,
}

impl Printed {
    fn print(&mut self, check: &Check) -> Result<()> {
        self.count += 1;
        if check.state == State::Bad {
            self.bad.push(match check.rank {
                Some(rank) => format!("{} of rank {rank}", check.name),
                None => check.name.to_string(),
            });
        }
        check.print()
    }
}

/// Makes every check and prints each result. Where there are several processes, each checks its machine, and the lead prints
/// its own results, those of others that are bad, and what holds for all of them together.
///
/// # Errors
/// If a check is bad.
pub fn run(args: &Args, world: World) -> Result<()> {
    let mut printed = Printed::default();
    let gpu = gpu::check(own_device(args.device, world));
    // Processes of one machine try the same folder, and one of them creates and removes it.
    let held = if world.local_rank() == 0 { folder::hold(&args.out) } else { None };
    world.wait()?;
    let mut own = Vec::new();
    let mut add = |check: Check| {
        let shown = if world.is_lead() { printed.print(&check) } else { Ok(()) };
        own.push(check);
        shown
    };
    gpu.checks.into_iter().try_for_each(&mut add)?;
    host::checks(gpu.device).into_iter().try_for_each(&mut add)?;
    let folder = folder::check(&args.out);
    folder.checks.into_iter().try_for_each(&mut add)?;
    add(clock::check(folder.clock_ahead))?;
    if !args.shards.is_empty() {
        args.servers.apply();
        add(server::check(&args.shards))?;
    }
    let together =
        if world.has_others() { peers::checks(own, &args.out, gpu.device, world)? } else { Vec::new() };
    world.wait()?;
    drop(held);
    world.on_lead(|| conclude(printed, &together)).map(drop)
}

/// Prints the checks of all processes together.
///
/// # Errors
/// If a check is bad.
fn conclude(mut printed: Printed, together: &[Check]) -> Result<()> {
    together.iter().try_for_each(|check| printed.print(check))?;
    let Printed { count, bad } = printed;
    if !bad.is_empty() {
        return Err(
            failure!("{} of {count} checks are bad: {}", bad.len(), bad.join(", "); "apply the hints printed above"),
        );
    }
    Ok(())
}

/// Returns the choice of the device that this process would use in a run.
fn own_device(choice: DeviceChoice, world: World) -> DeviceChoice {
    if !world.has_others() {
        return choice;
    }
    match device::choose_for(choice, world) {
        Ok(Device::Cuda(number)) => DeviceChoice::Cuda(number),
        _ => choice,
    }
}
