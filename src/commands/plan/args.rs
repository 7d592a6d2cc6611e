//! The flags of `plan`.

use anyhow::Result;

use crate::{config::TrainArgs, run::Unattended, usage, world::Launch};

/// The flags of `plan`: the settings of a run, and how much of it to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make steps of three sizes on synthetic images, which gives their memory as a function of the batch
    /// size
    #[arg(long)]
    pub gpu: bool,
    /// Only count: load nothing, make no step, forecast no time
    #[arg(long, conflicts_with = "gpu")]
    pub no_measure: bool,
    /// Forecast the run in N processes, each with a device and cores like those of this one: the samples of each,
    /// what they send each other, and their speed together. Where a launcher starts several processes, their number
    /// is the default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub processes: Option<u16>,
    /// Gigabytes (10⁹ bytes) a second that a process can send to the others (default: 12.5)
    #[arg(long, value_name = "GB/S", value_parser = bandwidth)]
    pub bandwidth: Option<f64>,
    /// The settings of the run.
    #[command(flatten)]
    pub train: TrainArgs,
    /// The flags for unattended runs.
    #[command(flatten)]
    pub unattended: Unattended,
}

impl Args {
    /// Takes the number of processes that a launcher has started, unless one was asked for.
    pub fn take_launched(&mut self, launch: Option<&Launch>) {
        self.processes = self.processes.or_else(|| launch?.size.try_into().ok());
    }

    /// Returns the number of processes, and the GB/s that each can send.
    ///
    /// # Errors
    ///
    /// If there is a bandwidth for one process alone.
    pub(super) fn together(&self) -> Result<Option<(usize, f64)>> {
        let Some(processes) = self.processes else {
            return match self.bandwidth {
                None => Ok(None),
                Some(_) => {
                    Err(usage!("--bandwidth is between processes, but this run has one"; "add --processes N"))
                }
            };
        };
        Ok(Some((processes.into(), self.bandwidth.unwrap_or(DEFAULT_BANDWIDTH))))
    }
}

/// The bandwidth of a network of 100 Gbit/s, in GB/s.
const DEFAULT_BANDWIDTH: f64 = 12.5;

fn bandwidth(text: &str) -> std::result::Result<f64, String> {
    let parsed = text.parse::<f64>().ok().filter(|rate| (1e-6..=1e6).contains(rate));
    parsed.ok_or_else(|| "expected a number from 0.000001 to 1000000".to_owned())
}
