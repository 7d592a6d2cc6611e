//! Flags of the commands that say what the program is.

use std::path::PathBuf;

use clap_complete::Shell;

/// What `completions` is told.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// What `man` is told.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Folder for a page of each subcommand [default: the main page goes to stdout, `amdim-stream man | man -l -`]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
