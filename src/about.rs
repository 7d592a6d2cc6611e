//! Help, version, manual pages and shell completions.

use std::fs;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use crate::{
    cli::{self, Cli, Completions, Man},
    exit::Code,
    hint::WithHint,
    stdout, terminal,
};
use torchkit::Libtorch;

/// Parses the command line. Exits after printing help, the version or an error.
pub fn parse() -> Cli {
    let command = Cli::command().term_width(terminal::columns_for_text().clamp(30, 120));
    let parsed = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| {
        if error.kind() == ErrorKind::DisplayVersion {
            let printed = stdout::text(format!("{}\n", version()).as_bytes());
            std::process::exit(i32::from(printed.is_err()));
        }
        cli::explained(error, std::env::args_os()).exit()
    })
}

/// Returns the text of `--version`: version, commit, libtorch, and the SIMD instructions in use.
fn version() -> String {
    format!(
        "amdim-stream {} (commit {})\nlibtorch {}\nSIMD: {} of {}",
        env!("CARGO_PKG_VERSION"),
        built::COMMIT,
        libtorch_version(),
        pipeline::Cpu::default(),
        std::env::consts::ARCH
    )
}

/// Returns the version of libtorch and the device that it is built for.
fn libtorch_version() -> String {
    let libtorch = match Libtorch::detect() {
        Ok(libtorch) => libtorch,
        Err(failure) => return format!("unknown: {failure}"),
    };
    let version = libtorch.version.as_deref().unwrap_or("of an unknown version");
    match libtorch.cuda.as_deref().filter(|_| libtorch.has_cuda_half()) {
        Some(cuda) => format!("{version} for CUDA {cuda}"),
        None => format!("{version} for the CPU"),
    }
}

/// Prints the completion script of a shell.
///
/// # Errors
///
/// If stdout cannot be written to.
pub fn complete(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "amdim-stream", &mut script);
    stdout::text(&script)
}

/// Prints the main manual page, or writes the pages of all subcommands to a folder.
///
/// # Errors
///
/// If stdout or the folder cannot be written to.
pub fn manual(args: &Man) -> Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return stdout::text(&page);
    };
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("cannot write to `{}`", folder.display()))
        .with_hint(|| "name another folder with --out")
        .with_code(Code::Usage)?;
    tracing::info!("the pages are in `{}`", folder.display());
    Ok(())
}
