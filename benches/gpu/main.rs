//! Speed of the training stage on one device: how long a step takes, and whether steps wait for data.
//!
//! `run.py` calls this program and PyTorch in turn, and writes the tables. Results are JSON objects on
//! stdout, one per line.
#![expect(clippy::print_stdout, reason = "the results go to stdout")]

use anyhow::Result;
use clap::{Parser, Subcommand};
use torchkit::{Accelerator, DeviceChoice, Stream};

mod model;
mod speed;

/// Speed of the training stage on one device
#[derive(Debug, Parser)]
struct Cli {
    /// cpu, cuda or cuda:N
    #[arg(long, global = true, default_value = "cuda")]
    device: DeviceChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Time steps on one batch that stays on the device
    Step(speed::StepArgs),
    /// Time steps fed from shards, in turns with steps on one batch that stays on the device
    Feed(speed::FeedArgs),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Command::Feed(_) = cli.command {
        // Training does the same beside decoding threads. Without them, steps wait as those of PyTorch do.
        torchkit::settle_threads();
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false).init();
    torchkit::keep_host_memory();
    let device = torchkit::device(cli.device)?;
    // CUDA graphs cannot be recorded on the default stream.
    Stream::new(Accelerator::of(device))?.make_current()?;
    match cli.command {
        Command::Step(args) => speed::step(device, &args),
        Command::Feed(args) => speed::feed(device, &args),
    }
}
