//! The flags of `verify`, and the command.

use std::{mem, path::PathBuf};

use anyhow::{Context, Result};
use dataset::verify::{Examined, Findings, Fixed, Kind, Options, Outputs, Survey, Verification};
use serde_json::json;
use shards::ShardName;
use xxhash_rust::xxh3::Xxh3;

use super::{table, words};
use crate::{
    commands::{progress::Shown, shared},
    data, failure, numbers,
    servers::{self, ServerArgs},
    stdout,
    world::World,
};

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
    #[command(flatten)]
    servers: ServerArgs,
}

/// Verifies the shards, prints an object for each and one for all, and with `--fix` writes cleaned shards. Several
/// processes divide the shards among themselves; the lead compares them, and prints.
///
/// # Errors
/// Training would lose samples or shards and `--fix` is not given, or a file cannot be read or written.
pub fn run(args: &Args, world: World) -> Result<()> {
    let Args { shards, workers, report, fix, force, servers } = args.clone();
    servers.apply();
    let workers = workers.or_else(|| world.has_others().then(data::cores));
    let options = Options { access: servers::access(), shards, workers, report, fix, force };
    let survey = world.all(Survey::open(&options).map_err(Into::into))?;
    agree(survey.names(), world)?;
    let outputs = world.on_lead(|| Ok(Outputs::prepare(&options, survey.names())?))?;
    if let Some(out) = &options.fix {
        shared::check(out, world)?;
    }
    let own = world.deal(&world.from_lead(|| Ok(survey.sizes()))?);
    let read = survey.read(&own, &Shown::of(world));
    let mut shards = gathered(&own, read, survey.names().len(), world)?;
    let mut verification = None;
    world.on_lead(|| {
        let outputs = outputs.context("the lead has prepared them")?;
        let done = verification.insert(Verification::of(outputs, mem::take(&mut shards))?);
        print_findings(done, options.report.is_some())
    })?;
    world.on_lead(|| verification.as_ref().map_or(Ok(()), |whole| Ok(whole.check_fix()?)))?;
    if let Some(out) = &options.fix {
        let own: Vec<_> = match &verification {
            Some(whole) => own.iter().map(|&number| &whole.shards()[number]).collect(),
            None => shards.iter().collect(),
        };
        world.all(survey.clean(&own, out, &Shown::of(world)).map_err(Into::into))?;
    }
    world.on_lead(|| verification.as_ref().map_or(Ok(()), print_end)).map(drop)
}

/// Checks that all processes name the same shards.
fn agree(names: &[ShardName], world: World) -> Result<()> {
    let mut all = Xxh3::new();
    for name in names {
        all.update(name.as_str().as_bytes());
        all.update(b"\n");
    }
    let shards = ("the shards", format!("{} names ({:016x})", names.len(), all.digest()));
    world.agree(&[shards], "start all processes in the same folder, with the same shards")
}

/// Returns the shards of all processes, in their order, on the lead, and on the others those that they have read, which have
/// the numbers `own`.
fn gathered(own: &[usize], read: Vec<Examined>, count: usize, world: World) -> Result<Vec<Examined>> {
    if !world.has_others() {
        return Ok(read);
    }
    let mut sent = Vec::new();
    if !world.is_lead() {
        for shard in own.iter().zip(&read) {
            serde_json::to_writer(&mut sent, &shard)?;
            sent.push(b'\n');
        }
    }
    let mut all: Vec<Option<Examined>> = Vec::new();
    all.resize_with(count, || None);
    let mut line = Vec::new();
    world.to_lead(&sent[..], sent.len() as u64, |_, block| {
        for part in block.split_inclusive(|&byte| byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let (number, shard): (usize, Examined) = serde_json::from_slice(&line)?;
                all[number] = Some(shard);
                line.clear();
            }
        }
        Ok(())
    })?;
    if !world.is_lead() {
        return Ok(read);
    }
    own.iter().zip(read).for_each(|(&number, shard)| all[number] = Some(shard));
    all.into_iter().collect::<Option<_>>().context("every shard was dealt to a process")
}

/// Prints the findings, and finishes the report.
fn print_findings(verification: &mut Verification, is_reported: bool) -> Result<()> {
    table::print(verification.findings())?;
    words::log(verification.findings(), is_reported);
    for (name, counts) in verification.findings().shards() {
        stdout::print(&counts.to_json("shard", name.as_str()))?;
    }
    Ok(verification.save_report()?)
}

/// Prints the totals, what `--fix` has written, and the conclusion.
fn print_end(verification: &Verification) -> Result<()> {
    let (findings, fixed) = (verification.findings(), verification.fixed());
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
