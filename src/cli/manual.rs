//! The flags of `completions` and `man`.

use std::path::PathBuf;

use clap_complete::Shell;

/// The flags of `completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The flags of `man`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Folder for a page of each subcommand [default: the main page goes to stdout, `amdim-stream man | man
    /// -l -`]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
