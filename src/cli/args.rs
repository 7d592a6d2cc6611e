//! The subcommands of the program and the flags of training.

use clap::{Parser, Subcommand};

use super::manual::{Completions, Man};
use crate::{
    commands::{
        doctor, embed, eval::EvalCommand, events, export, import, index, pack, plan, replay, report, runs,
        selftest, show, synth, verify,
    },
    config::TrainArgs,
    run::Unattended,
    world::Together,
};

/// Trains image encoders without labels, from sharded tar datasets
///
/// Without a subcommand it trains: amdim-stream --shards 'data/train-<000..999>.tar'. The same command line
/// resumes an interrupted run.
#[derive(Debug, Parser)]
#[command(
    name = "amdim-stream",
    version,
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true
)]
pub struct Cli {
    /// Print results as JSON on a terminal, too; results elsewhere are always JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The subcommand; none for training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of a training run.
    #[command(flatten)]
    pub train: TrainArgs,
    /// The flags for unattended runs.
    #[command(flatten)]
    pub unattended: Unattended,
    /// The flags of a start in several processes.
    #[command(flatten)]
    pub together: Together,
}

/// A subcommand: everything that the program does besides training.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the completion script of a shell
    Completions(Completions),
    /// Evaluate the encoder of a run
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Write the records of runs as event files for TensorBoard
    Events(events::Args),
    /// Check this machine before an unattended run: versions, GPU, limits, the run folder, the clock
    Doctor(doctor::Args),
    /// Write the features of all samples, shard by shard
    Embed(embed::Args),
    /// Write the encoder of a checkpoint to a file for other programs
    Export(export::Args),
    /// Make a run folder from an export, or from a checkpoint of the reference implementation
    Import(import::Args),
    /// Write the index of shards that lie on a server, so that nobody needs to read them for it
    Index(index::Args),
    /// Write the manual pages
    Man(Man),
    /// Make shards from an image folder, CIFAR or STL-10 files
    Pack(pack::Args),
    /// Describe a run with these settings before it starts: data, speed, memory, disk space
    ///
    /// It accepts every flag of a run. Of the flags for unattended runs, it applies --if-changed, --gate and
    /// --quiet.
    Plan(Box<plan::Args>),
    /// Repeat the step that a run failed at
    Replay(replay::Args),
    /// Write one HTML file about a run, or one that compares several
    Report(report::Args),
    /// List the runs below folders: method, step, loss, accuracies, state
    Runs(runs::Args),
    /// Compare what this device computes with what it should compute: golden tensors, precisions, fused pieces, recorded steps, copies, memory
    ///
    /// A check that fails says which flags to train with instead. On a GPU, it takes all free memory for a
    /// moment, unless other processes use the GPU.
    Selftest(selftest::Args),
    /// Draw an image and the views that training sees of it
    Show(show::Args),
    /// A subcommand of other programs; training needs none
    #[command(hide = true, aliases = ["fit", "pretrain", "training", "run"])]
    Train {
        /// The settings of the run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        settings: Vec<String>,
    },
    /// Make a labelled synthetic dataset of JPEGs
    Synth(synth::Args),
    /// Read every sample of a set, report what is wrong with it, and write cleaned shards
    Verify(verify::Args),
}
