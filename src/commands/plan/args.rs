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
    /// The settings of the run.
    #[command(flatten)]
    pub train: TrainArgs,
    /// The flags for unattended runs.
    #[command(flatten)]
    pub unattended: Unattended,
}
