//! What is typed after `plan`.

use crate::{config::TrainArgs, run::Unattended};

/// The settings of a run, and how much of it to try out.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make steps of three sizes, on made-up images, for their memory as a function of the batch
    #[arg(long)]
    pub gpu: bool,
    /// Count only: load nothing, make no step, foretell no time
    #[arg(long, conflicts_with = "gpu")]
    pub no_measure: bool,
    /// The settings of the run.
    #[command(flatten)]
    pub train: TrainArgs,
    /// How a start of it behaves when nobody watches.
    #[command(flatten)]
    pub unattended: Unattended,
}
