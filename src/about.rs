//! What the program says of itself: help, version, manual pages, completions.

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

/// What was typed; help fits the terminal, and the version says what the program is made of. Ends the process where there is
/// nothing more to do.
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

/// Version, commit, libtorch, and the instructions that hot loops use.
fn version() -> String {
    let libtorch = Libtorch::detect().map_or_else(
        |failure| format!("unknown: {failure}"),
        |found| {
            let version = found.version.as_deref().unwrap_or("of an unknown version");
            let cuda = found.cuda.as_deref().filter(|_| found.has_cuda_half());
            let kind = cuda.map_or("for the CPU".to_owned(), |cuda| format!("for CUDA {cuda}"));
            format!("{version} {kind}")
        },
    );
    format!(
        "amdim-stream {} (commit {})\nlibtorch {libtorch}\nSIMD: {} of {}",
        env!("CARGO_PKG_VERSION"),
        built::COMMIT,
        pipeline::Cpu::default(),
        std::env::consts::ARCH
    )
}

/// Prints the completions of a shell.
///
/// # Errors
///
/// If stdout cannot be written to.
pub fn complete(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "amdim-stream", &mut script);
    stdout::text(&script)
}

/// Prints the main page, or writes all pages.
///
/// # Errors
///
/// If stdout, or the folder, cannot be written to.
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
