//! The flags of `verify`, and the command.

use std::path::PathBuf;

use anyhow::Result;
use dataset::verify::{Findings, Fixed, Kind, Options, Verification};
use serde_json::json;

use super::{table, words};
use crate::{commands::progress::Shown, failure, numbers, stdout};

/// The flags of `verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Shards to verify: name all shards of the set, since keys, images and sizes are compared between them
    #[arg(long, value_name = "PATTERN", num_args = 1.., required = true)]
    shards: Vec<String>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<usize>())]
    workers: Option<usize>,
    /// Write every finding to this file, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) report: Option<PathBuf>,
    /// Write cleaned shards into this folder, with the same names and without bad samples
    #[arg(long, value_name = "OUT")]
    pub(crate) fix: Option<PathBuf>,
    /// Replace shards in the folder of --fix
    #[arg(long, requires = "fix")]
    force: bool,
}

/// Verifies the shards, prints an object for each and one for all, and with `--fix` writes cleaned shards.
///
/// # Errors
/// Training would lose samples or shards and `--fix` is not given, or a file cannot be read or written.
pub fn run(args: &Args) -> Result<()> {
    let Args { shards, workers, report, fix, force } = args.clone();
    let options = Options { shards, workers, report, fix, force };
    let mut verification = Verification::run(&options, &Shown::default())?;
    table::print(verification.findings())?;
    words::log(verification.findings(), options.report.is_some());
    for (name, counts) in verification.findings().shards() {
        stdout::print(&counts.to_json("shard", name.as_str()))?;
    }
    verification.save_report()?;
    let fixed = verification.fix(&Shown::default())?;
    let findings = verification.findings();
    let mut totals = findings.totals().to_json("shards", findings.shards().len());
    if let Some(fixed) = &fixed {
        totals["fixed"] = json!(fixed);
    }
    stdout::print(&totals)?;
    match fixed {
        Some(fixed) => print_fixed(&fixed, findings),
        None => conclude(findings, verification.is_some_unread()),
    }
}

/// Prints what `--fix` has written.
fn print_fixed(fixed: &Fixed, findings: &Findings) -> Result<()> {
    let Fixed { out, shards, samples, left_out, shards_left_out, .. } = fixed;
    let is_any_sorted = findings.totals().found(Kind::Sorted) > 0;
    let order = if is_any_sorted { ", still sorted by class: --shuffle global mixes them" } else { "" };
    let out = out.display();
    let whole = match shards_left_out {
        0 => String::new(),
        count => format!(", and {count} shards as a whole"),
    };
    stdout::say(&format!(
        "{samples} samples in {shards} shards are in `{out}`, {left_out} were left out{whole}{order}"
    ))
}

/// Prints the conclusion in one line.
///
/// # Errors
///
/// If training would lose samples.
fn conclude(findings: &Findings, is_some_unread: bool) -> Result<()> {
    match words::losses(findings.totals()) {
        None => stdout::say("no sample is lost"),
        Some(losses) if is_some_unread => Err(failure!(
            "{losses}";
            "check permissions, disk and memory for the files that could not be read, and verify again before --fix OUT drops them"
        )),
        Some(losses) if findings.totals().sum(Kind::is_removable) > 0 => Err(failure!(
            "{losses}";
            "add --fix OUT to write shards without the bad samples into the folder OUT"
        )),
        Some(losses) => Err(failure!(
            "{losses}";
            "write labels as integers beside their images, and files instead of links; until then such samples are used without labels, \
             and --fix keeps them"
        )),
    }
}
