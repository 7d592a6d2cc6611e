//! Parse, run, exit code: 0 done, 1 failed, 2 usage, 130 interrupted.

use std::{env, io, process};

use amdim_stream::{
    cli::{Cli, Command},
    embed, eval, export, import, pack, show, synth, sys,
    train::{self, Ended},
    usage::UsageError,
};
use anyhow::Result;
use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() {
    let cli = Cli::parse();
    log_to_stderr();
    sys::settle_threads();
    sys::keep_host_memory();
    process::exit(match run(cli) {
        Ok(Ended::Finished) => 0,
        Ok(Ended::Interrupted) => train::INTERRUPTED,
        Err(error) => {
            tracing::error!("{}", render(&error));
            if error.is::<UsageError>() { 2 } else { 1 }
        }
    })
}

fn run(cli: Cli) -> Result<Ended> {
    match cli.command {
        None => return train::run(&cli.train.asked()?),
        Some(Command::Eval(command)) => {
            let (options, evaluation) = command.parts();
            eval::run(&options, &evaluation)?;
        }
        Some(Command::Embed(args)) => embed::run(&args)?,
        Some(Command::Export(args)) => export::run(&args)?,
        Some(Command::Import(args)) => import::run(&args)?,
        Some(Command::Pack(args)) => pack::run(&args)?,
        Some(Command::Plan(args)) => train::plan::plan(&args.train.asked()?, args.gpu)?,
        Some(Command::Show(args)) => show::run(&args)?,
        Some(Command::Synth(args)) => synth::run(&args)?,
    }
    Ok(Ended::Finished)
}

/// The causes of an error on one line, then what cures it.
fn render(error: &anyhow::Error) -> String {
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    let mut hints = String::new();
    let mut causes = Vec::new();
    for message in &chain {
        let (cures, cause): (Vec<_>, Vec<_>) =
            message.lines().map(str::trim).partition(|line| line.starts_with("hint:"));
        let cause = cause.join(" ");
        if !causes.last().is_some_and(|last: &String| last.ends_with(&cause)) {
            causes.push(cause);
        }
        hints.extend(cures.iter().map(|cure| format!("\n  {cure}")));
    }
    causes.join(": ") + &hints
}

/// Messages of this program and its libraries; `RUST_LOG=debug` shows more of them.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()) && env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .without_time()
        // A message that cannot be written, to a full disk or a closed pipe, is no reason to end.
        .log_internal_errors(false)
        .init();
}
