//! Parses the command line, runs the command, and exits with its [`Code`].

use std::{panic, process, time::Instant};

use amdim_stream::{
    about,
    cli::Command,
    commands::{doctor, embed, export, import, pack, plan, replay, selftest, show, synth, verify},
    config::TrainArgs,
    eval,
    exit::{self, Code},
    hint,
    run::Unattended,
    signals, stdout, summary, terminal,
    train::{self, RunOutcome},
    usage,
    world::World,
};
use anyhow::Result;
use tracing_subscriber::EnvFilter;

fn main() {
    let _ = rustix::thread::set_name(c"amdim-stream"); // for `killall`: the file is called `amdim-stream-main`
    let cli = about::parse();
    if cli.json {
        stdout::ask_for_json();
    }
    log_to_stderr(match &cli.command {
        None => cli.unattended.quiet,
        Some(Command::Plan(args)) => args.unattended.quiet,
        Some(_) => false,
    });
    torchkit::settle_threads();
    clear_before_panics();
    torchkit::keep_host_memory();
    let code = match cli.command {
        None => train(&cli.train, &cli.unattended),
        Some(command) => code_of(exit::catching(|| {
            signals::end_at_once(command.leftovers())?;
            run(command)
        })),
    };
    signals::wait_where_leaving();
    process::exit(code as i32)
}

/// Trains. Writes the summary of the run if one is asked for and this process leads.
fn train(args: &TrainArgs, unattended: &Unattended) -> Code {
    let (start, world) = (Instant::now(), World::ALONE);
    if let Some(path) = &unattended.summary
        && let Err(error) = summary::check(path)
    {
        return failed(&error);
    }
    let (asked, ended) = match args.asked() {
        Ok(asked) => {
            let ended = exit::catching(|| train::run(&asked, unattended, world));
            (Some(asked), ended)
        }
        Err(error) => (None, Err(error)),
    };
    let code = code_of_run(&ended, unattended);
    let Some(path) = unattended.summary.as_deref().filter(|_| world.is_lead()) else { return code };
    match summary::write(path, asked.as_ref(), start, code, &ended) {
        Ok(()) => code,
        Err(error) if matches!(code, Code::Done | Code::Unchanged) => failed(&error),
        Err(error) => {
            failed(&error);
            code
        }
    }
}

/// Returns the exit code of a training run. Logs the error of a failed one.
fn code_of_run(ended: &Result<RunOutcome>, unattended: &Unattended) -> Code {
    match ended {
        Ok(RunOutcome::Unchanged) if unattended.exit_code_unchanged => Code::Unchanged,
        Ok(RunOutcome::Finished | RunOutcome::Unchanged) => Code::Done,
        Ok(RunOutcome::Stopped(_)) => Code::Interrupted,
        Err(error) => failed(error),
    }
}

/// Returns the exit code of a command. Logs the error of a failed one.
fn code_of(done: Result<()>) -> Code {
    match done {
        Ok(()) => Code::Done,
        Err(error) => failed(&error),
    }
}

/// Runs a command other than training.
fn run(command: Command) -> Result<()> {
    match command {
        Command::Completions(args) => about::complete(&args),
        Command::Eval(command) => {
            let (options, evaluation) = command.parts()?;
            eval::run(&options, &evaluation)
        }
        Command::Doctor(args) => doctor::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Man(args) => about::manual(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Train { settings } => Err(no_subcommand(&settings)),
        Command::Synth(args) => synth::run(&args),
        Command::Verify(args) => verify::run(&args),
    }
}

/// Returns the error about `amdim-stream train`, with the command line that trains.
fn no_subcommand(settings: &[String]) -> anyhow::Error {
    let settings = match settings {
        [] => "--shards 'train-<000..999>.tar'".to_owned(),
        settings => settings.join(" "),
    };
    usage!("training needs no subcommand"; "type amdim-stream {settings}")
}

/// Clears the progress line before the message of a panic is printed.
fn clear_before_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        terminal::clear();
        usual(info);
    }));
}

/// Logs an error and returns the exit code for it.
fn failed(error: &anyhow::Error) -> Code {
    signals::wait_where_leaving();
    tracing::error!("{}", hint::render(error));
    hint::code(error)
}

/// Logs messages of the program and its libraries to stderr: from level `info` on, or from `warn` on if
/// `quiet`. `RUST_LOG` wins.
fn log_to_stderr(quiet: bool) {
    let level = if quiet { "warn" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(terminal::Messages)
        .with_ansi(terminal::has_colours())
        .with_target(false)
        .without_time()
        // A message that cannot be written, to a full disk or a closed pipe, must not end the program.
        .log_internal_errors(false)
        .init();
}
