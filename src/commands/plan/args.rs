//! The flags of `plan`.

use crate::{config::TrainArgs, run::Unattended};

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
    /// what they send each other, and their speed together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub processes: Option<u16>,
    /// Gigabytes (10⁹ bytes) a second that a process can send to the others
    #[arg(long, value_name = "GB/S", default_value = "12.5", requires = "processes", value_parser = bandwidth)]
    pub bandwidth: f64,
    /// The settings of the run.
    #[command(flatten)]
    pub train: TrainArgs,
    /// The flags for unattended runs.
    #[command(flatten)]
    pub unattended: Unattended,
}

fn bandwidth(text: &str) -> Result<f64, String> {
    let parsed = text.parse::<f64>().ok().filter(|rate| (1e-6..=1e6).contains(rate));
    parsed.ok_or_else(|| "expected a number from 0.000001 to 1000000".to_owned())
}
