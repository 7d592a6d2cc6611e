//! Checks and speed of the training stage on one device: that it computes the same as the CPU, that copying
//! does not delay training, and how long a step takes.
//!
//! `run.py` calls this program and PyTorch in turn, and writes the tables. Results are JSON objects on
//! stdout, one per line.
#![expect(clippy::print_stdout, reason = "the results go to stdout")]

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use tch::Device;
use torchkit::{Accelerator, DeviceChoice, Stream};

mod check;
mod speed;

#[expect(clippy::unwrap_used, reason = "helpers of tests may unwrap")]
#[path = "../../tests/golden/mod.rs"]
mod golden;

/// Checks and speed of the training stage on one device
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
    /// Check the device against golden tensors and the CPU; `AMDIM_FIXTURES` names the folder of golden
    /// tensors
    Check {
        /// Run only the checks whose names contain this
        #[arg(default_value = "")]
        names: String,
    },
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
        Command::Check { names } => check_all(device, &names),
        Command::Step(args) => speed::step(device, &args),
        Command::Feed(args) => speed::feed(device, &args),
    }
}

fn check_all(device: Device, names: &str) -> Result<()> {
    let mut failed = Vec::new();
    for check in check::ALL.iter().filter(|check| check.name.contains(names)) {
        let result = check.run(device);
        println!("{}", result.line);
        if !result.passed {
            failed.push(check.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use amdim_stream::optim::Config;

    use super::*;

    /// Held by each test that draws random numbers, because libtorch has one generator.
    static GENERATOR: Mutex<()> = Mutex::new(());

    /// Golden tensors and resuming have their own tests.
    #[test]
    fn the_checks_pass_on_the_cpu() {
        let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        for name in ["bf16", "overlap", "graph", "adam"] {
            check_all(Device::Cpu, name).unwrap();
        }
    }

    #[test]
    fn an_update_with_slightly_wrong_settings_is_not_taken_for_rounding() {
        let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = check::decaying();
        let off = |config: Config| check::updates_off(Device::Cpu, 7, &config, &exact).unwrap();
        assert!(off(exact.clone()).iter().zip(check::UPDATES_OFF).all(|(off, bound)| *off < bound));
        let [decay, clip] = [
            Config { weight_decay: 1.02e-2, ..exact.clone() },
            Config { clip_norm: Some(5.05), ..exact.clone() },
        ];
        for wrong in [decay, clip, Config { betas: [0.81, 0.999], ..exact.clone() }] {
            assert!(off(wrong.clone())[0] > check::UPDATES_OFF[0], "{wrong:?}");
        }
    }

    #[test]
    fn a_check_that_fails_says_so() {
        let check = check::Check { name: "wrong", run: |_| panic!("off by 3") };
        let result = check.run(Device::Cpu);
        assert!(!result.passed && result.line.to_string().contains("off by 3"), "{}", result.line);
    }
}
