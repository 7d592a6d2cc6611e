//! `amdim-stream selftest`: compares what a device computes with what it should compute.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use torchkit::{Accelerator, DeviceChoice, Precision, Stream, caught};
use tracing::Level;

use super::finding;
use crate::{
    device,
    exit::Code,
    hint::{Hinted, Notice, WithHint},
    selftest::{
        self, Check, Options, Outcome, State,
        golden::{self, Cases},
    },
    stdout, usage,
    world::World,
};

/// The flags of `selftest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// auto, cpu, cuda or cuda:N, as in a run's --device
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Make the slow checks, too: larger shapes, more repetitions, recorded steps of every method, a resumed
    /// run
    #[arg(long)]
    pub full: bool,
    /// Folder of golden tensors to compare with, instead of the small ones in the program
    #[arg(long, value_name = "DIR")]
    pub golden: Option<PathBuf>,
}

/// Makes every check and prints each result.
///
/// # Errors
///
/// If the device cannot be used, or a check fails; the hints say what to switch off.
pub fn run(args: &Args, world: World) -> Result<()> {
    if world.has_others() {
        return run_together(args, world);
    }
    let device = device::choose(args.device)?;
    // Steps cannot be recorded on the default stream.
    Stream::new(Accelerator::of(device))?.make_current()?;
    let cases = cases(args.golden.as_deref())?;
    let options = Options { device, is_full: args.full, cases };
    let mut made = Vec::new();
    for check in selftest::checks(&options) {
        let outcome = check.outcome(&options);
        print(&check, &outcome)?;
        made.push((check.name, outcome));
    }
    summarize(&made, &torchkit::name(device))
}

/// Compares AMDIM, trained by all processes together, with its golden tensors, and prints the results. Everything else
/// that a device computes is checked by one process.
fn run_together(args: &Args, world: World) -> Result<()> {
    let device = world.all(device::choose_for(args.device, world))?;
    Stream::new(Accelerator::of(device))?.make_current()?;
    if device.is_cuda() {
        world.connect_devices()?;
    }
    let cases = world.all(cases(args.golden.as_deref()))?;
    Precision::F32.apply()?;
    for (kind, precision) in [("f32", golden::Precision::Single), ("f64", golden::Precision::Double)] {
        let compare = || golden::amdim::agree_in(world, &cases, device, precision);
        let count = world.all(caught(compare).map_err(anyhow::Error::from).flatten())?;
        if count == 0 {
            return Err(usage!(
                "no case of golden tensors has a batch that {} processes can share equally", world.size();
                "start another number of processes, or name more cases with --golden"
            ));
        }
        let check = format!("golden tensors in {kind} in {} processes", world.size());
        let message = format!("{check} ok: cases {count}, on {}", torchkit::name(device));
        let json = json!({"check": check, "state": State::Ok.name(), "found": {"cases": count}});
        finding::print(Level::INFO, Notice { message, hints: Vec::new() }, &json)?;
    }
    Ok(())
}

/// Returns the golden tensors to compare with: those of the folder if one is given.
fn cases(folder: Option<&Path>) -> Result<Cases> {
    let Some(folder) = folder else { return Ok(Cases::Embedded) };
    let hint = "leave out --golden, which compares with the golden tensors in the program";
    let paths = golden::paths(folder).with_hint(|| hint).with_code(Code::Usage)?;
    if paths.is_empty() {
        return Err(usage!("`{}` has no golden tensors", folder.display(); "{hint}"));
    }
    Ok(Cases::Folder(folder.to_owned()))
}

/// Prints a result in words and as JSON.
fn print(check: &Check, outcome: &Outcome) -> Result<()> {
    let Outcome { state, found, hint, flags, took } = outcome;
    let seconds = took.as_secs_f64();
    let message = format!("{} {}: {} ({seconds:.1} s)", check.name, state.name(), in_words(found));
    let level = if *state == State::Bad { Level::ERROR } else { Level::INFO };
    let words = Notice { message, hints: hint.iter().cloned().collect() };
    let json = json!({
        "check": check.name, "state": state.name(), "found": found, "hint": hint, "flags": flags,
        "seconds": seconds,
    });
    finding::print(level, words, &json)
}

/// Says how many checks hold.
///
/// # Errors
///
/// If some do not.
fn summarize(made: &[(String, Outcome)], device: &str) -> Result<()> {
    let count = |state| made.iter().filter(|(_, outcome)| outcome.state == state).count();
    let (all, bad) = (made.len(), count(State::Bad));
    if bad == 0 {
        let skipped = count(State::Skipped);
        return stdout::say(&format!(
            "{} of {all} checks hold on {device}, {skipped} are skipped",
            all - skipped
        ));
    }
    let failed = || made.iter().filter(|(_, outcome)| outcome.state == State::Bad);
    let names: Vec<_> = failed().map(|(name, _)| name.as_str()).collect();
    let mut hints: Vec<String> = Vec::new();
    for hint in failed().filter_map(|(_, outcome)| outcome.hint.as_ref()) {
        if !hints.contains(hint) {
            hints.push(hint.clone());
        }
    }
    let message = format!("{bad} of {all} checks are bad on {device}: {}", names.join(", "));
    Err(Hinted::error(Code::Failed, message, hints))
}

/// Puts figures into words, such as `loss off 1.0e-4, is recorded true`.
fn in_words(found: &Value) -> String {
    match found {
        Value::Object(fields) => {
            let words =
                fields.iter().map(|(name, value)| format!("{} {}", name.replace('_', " "), in_words(value)));
            words.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => "0".to_owned(),
            Some(real) if number.is_f64() && real.abs() < 0.01 => format!("{real:.1e}"),
            Some(real) if number.is_f64() => format!("{real:.4}"),
            _ => number.to_string(),
        },
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(state: State, hint: Option<&str>) -> Outcome {
        let hint = hint.map(str::to_owned);
        Outcome { state, found: Value::Null, hint, flags: None, took: Duration::ZERO }
    }

    #[test]
    fn the_error_names_the_bad_checks_and_each_hint_once() {
        let made = [
            ("copies".to_owned(), outcome(State::Ok, None)),
            ("graph".to_owned(), outcome(State::Bad, Some("train with --cuda-graph off"))),
            ("graphs".to_owned(), outcome(State::Bad, Some("train with --cuda-graph off"))),
            ("memory".to_owned(), outcome(State::Skipped, None)),
        ];
        let error = crate::hint::render(&summarize(&made, "cuda:1").unwrap_err());
        assert_eq!(
            error,
            "2 of 4 checks are bad on cuda:1: graph, graphs\n  hint: train with --cuda-graph off"
        );
    }

    #[test]
    fn figures_are_words_with_few_digits() {
        let found =
            json!({"adam": {"moments_off": 2.34e-7}, "cosine": 0.998_765, "recorded": false, "steps": 12});
        assert_eq!(in_words(&found), "adam moments off 2.3e-7, cosine 0.9988, recorded false, steps 12");
    }
}
