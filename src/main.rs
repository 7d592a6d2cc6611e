//! Parses the command line, runs the command, and exits with its [`Code`].

use std::{
    env, fs, panic, process,
    time::{Instant, SystemTime},
};

use amdim_stream::{
    about,
    cli::Command,
    commands::{
        doctor, embed, events, export, import, index, pack, plan, replay, report, runs, selftest, show,
        synth, verify,
    },
    config::TrainArgs,
    data, eval,
    exit::{self, Code},
    hint,
    run::Unattended,
    signals, stdout, summary, terminal,
    train::{self, RunOutcome},
    usage,
    world::{Launch, Relayed, Together, World},
};
use anyhow::Result;
use serde_json::json;
use tracing_subscriber::EnvFilter;

fn main() {
    let _ = rustix::thread::set_name(c"amdim-stream"); // for `killall`: the file is called `amdim-stream-main`
    let mut cli = about::parse();
    if cli.json {
        stdout::ask_for_json();
    }
    let launch = World::launch(&cli.together);
    let is_follower = matches!(&launch, Ok(Some(launch)) if launch.rank > 0);
    if is_follower {
        stdout::silence();
        terminal::silence();
    }
    let is_quiet = match &cli.command {
        None => cli.unattended.quiet,
        Some(Command::Plan(args)) => args.unattended.quiet,
        Some(_) => false,
    };
    log_to_stderr(if is_follower {
        "error"
    } else if is_quiet {
        "warn"
    } else {
        "info"
    });
    torchkit::settle_threads();
    clear_before_panics();
    torchkit::keep_host_memory();
    if let (Some(Command::Plan(args)), Ok(launch)) = (&mut cli.command, &launch) {
        args.take_launched(launch.as_ref());
    }
    let join = || join(launch, &cli.together);
    let (code, world) = match cli.command {
        None => train(&cli.train, &cli.unattended, join),
        Some(command) if command.is_divided() => run_command(command, join),
        Some(_) if is_follower => (Code::Done, World::ALONE), // the lead does it alone
        Some(command) => run_command(command, || Ok(World::ALONE)),
    };
    signals::wait_where_leaving();
    // Threads that watch or serve other processes do not end by themselves.
    if world.size() > 1 {
        world.linger();
        exit::at_once(code)
    }
    process::exit(code as i32)
}

/// Joins the processes with which this one was started, and leaves them their share of the cores.
fn join(launch: Result<Option<Launch>>, together: &Together) -> Result<World> {
    let world = World::join(launch?.as_ref(), together)?;
    data::share_cores(world.sharing_cores());
    Ok(world)
}

/// Runs a command other than training, on its share of the work if the command divides it, and else on the lead.
fn run_command(command: Command, join: impl FnOnce() -> Result<World>) -> (Code, World) {
    let mut world = World::ALONE;
    let done = exit::catching(|| {
        signals::end_at_once(command.leftovers())?;
        world = join()?;
        world.conclude(exit::catching(|| run(command, world)))
    });
    (code_of(done), world)
}

/// Trains. Writes the summary of the run if one is asked for and this process leads.
fn train(args: &TrainArgs, unattended: &Unattended, join: impl FnOnce() -> Result<World>) -> (Code, World) {
    let (start, mut world, mut summary) = (Instant::now(), World::ALONE, unattended.summary.as_deref());
    let (asked, ended) = match args.asked() {
        Ok(asked) => {
            let ended = exit::catching(|| {
                world = join()?;
                let checked = world.on_lead(|| summary.map_or(Ok(()), summary::check));
                if checked.is_err() {
                    summary = None;
                }
                let ended = exit::catching(|| checked.and_then(|_| train::run(&asked, unattended, world)));
                world.conclude(ended)
            });
            (Some(asked), ended)
        }
        Err(error) => (None, Err(error)),
    };
    let code = code_of_run(&ended, unattended);
    let told = if is_under_torchrun() { code.for_torchrun() } else { code };
    let Some(path) = summary.filter(|_| world.is_lead()) else { return (told, world) };
    let told = match summary::write(path, asked.as_ref(), start, code, &ended) {
        Ok(()) => told,
        Err(error) if told == Code::Done => failed(&error),
        Err(error) => {
            failed(&error);
            told
        }
    };
    (told, world)
}

/// Returns whether torchrun, or another program with its agent, has started this process.
fn is_under_torchrun() -> bool {
    env::var_os("TORCHELASTIC_RUN_ID").is_some()
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
fn run(command: Command, world: World) -> Result<()> {
    match command {
        Command::Completions(args) => about::complete(&args),
        Command::Eval(command) => {
            let (options, evaluation) = world.all(command.parts())?;
            eval::run(&options, &evaluation, world)
        }
        Command::Doctor(args) => doctor::run(&args, world),
        Command::Embed(args) => embed::run(&args, world),
        Command::Events(args) => events::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Index(args) => index::run(&args),
        Command::Man(args) => about::manual(&args),
        Command::Pack(args) => pack::run(&args, world),
        Command::Plan(args) => plan::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Runs(args) => runs::run(&args),
        Command::Selftest(args) => selftest::run(&args, world),
        Command::Show(args) => show::run(&args),
        Command::Train { settings } => Err(no_subcommand(&settings)),
        Command::Synth(args) => synth::run(&args),
        Command::Verify(args) => verify::run(&args, world),
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

/// Logs an error, unless the lead reports it, and returns the exit code for it.
fn failed(error: &anyhow::Error) -> Code {
    signals::wait_where_leaving();
    if hint::find::<Relayed>(error).is_none() {
        let text = hint::render(error);
        tracing::error!("{text}");
        tell_torchrun(&text);
    }
    hint::code(error)
}

/// Writes an error to the file from which torchrun takes what it prints about a failed process, if there is one.
fn tell_torchrun(text: &str) {
    let Some(file) = env::var_os("TORCHELASTIC_ERROR_FILE") else { return };
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Only `py_callstack` is printed.
    let extra = json!({"timestamp": seconds.to_string(), "py_callstack": text});
    let told = json!({"message": {"message": text, "extraInfo": extra}});
    if let Err(error) = fs::write(file, told.to_string()) {
        tracing::debug!("torchrun cannot be told of the error: {error}");
    }
}

/// Logs messages of the program and its libraries to stderr, from a level on. `RUST_LOG` wins.
fn log_to_stderr(level: &str) {
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
