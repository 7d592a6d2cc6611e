//! `amdim-stream verify`: every byte of a set read, what is wrong with it told, and shards without it written.
//!
//! Shards are read one by one, whatever is wrong with others. Of a sample stays what comparing the set needs: two hashes of
//! 128 bits, place, label, sizes and key.

mod compare;
mod examine;
mod findings;
mod fix;
mod kind;
mod report;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rayon::ThreadPoolBuilder;
use serde_json::json;
use shards::{LocalSource, ShardName, Source};

use crate::{classes::ClassNames, stdout, usage};
use findings::Findings;
use fix::{Fixed, Target};
use watch::Watch;

/// What `verify` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shards to verify, all of the set: keys, images and sizes are compared with one another
    #[arg(long, value_name = "PATTERN", num_args = 1.., required = true)]
    pub shards: Vec<String>,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = crate::numbers::THREADS.parser::<usize>())]
    pub workers: Option<usize>,
    /// Write every finding to this file, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    pub report: Option<PathBuf>,
    /// Write cleaned shards of the same names into this folder: without samples that cannot be used
    #[arg(long, value_name = "OUT")]
    pub fix: Option<PathBuf>,
    /// With --fix: replace shards that lie in its folder
    #[arg(long, requires = "fix")]
    pub force: bool,
}

/// Verifies the shards, prints an object for each and one for all, and with `--fix` writes them anew.
///
/// # Errors
/// Samples or shards are lost on training and were not left out by `--fix`, or something cannot be read or written at all.
pub fn run(args: &Args) -> Result<()> {
    let source = LocalSource::new(&args.shards)?;
    let names = source.list()?;
    ClassNames::beside(&names)?;
    let target = args.fix.as_deref().map(|out| Target::prepare(out, &names, args.force)).transpose()?;
    check_report(args.report.as_deref(), &names)?;
    let mut findings = Findings::create(args.report.as_deref())?;
    let workers = args.workers.unwrap_or(0);
    let pool = ThreadPoolBuilder::new().num_threads(workers).build().context("cannot start the threads")?;

    let watch = Watch::new("verified", examine::bytes(&source, &names));
    let shards = pool.install(|| examine::all(&source, &names, &watch));
    watch.finish();
    let notes = compare::compare(&shards);
    findings.add_all(&shards, &notes)?;
    findings.show()?;
    findings.objects().try_for_each(|object| stdout::print(&object))?;
    findings.finish()?;
    let fixed = target.map(|target| pool.install(|| fix::write(&source, &shards, &target))).transpose()?;
    let mut totals = findings.totals();
    if let Some(fixed) = &fixed {
        totals["fixed"] = json!(fixed);
    }
    stdout::print(&totals)?;
    conclude(&findings, fixed.as_ref(), shards.iter().any(|shard| shard.is_unread))
}

/// The report is not to take the place of a shard, or of anything but an earlier report.
fn check_report(report: Option<&Path>, names: &[ShardName]) -> Result<()> {
    let Some(there) = report.and_then(|report| report.canonicalize().ok()) else { return Ok(()) };
    let is_there =
        |name: &&ShardName| Path::new(name.as_str()).canonicalize().is_ok_and(|path| path == there);
    if let Some(name) = names.iter().find(is_there) {
        return Err(usage!(
            "`{name}` is a shard, not a place for the report\n  hint: another file with --report"
        ));
    }
    if there.is_file() && !report::is_report(&there) {
        return Err(usage!(
            "`{}` is there already, and is no report of findings\n  hint: name another file with --report",
            there.display()
        ));
    }
    Ok(())
}

/// What follows from all of it, in one line; an error if samples are lost and were not left out.
fn conclude(findings: &Findings, fixed: Option<&Fixed>, is_some_unread: bool) -> Result<()> {
    match (findings.losses(), fixed) {
        (_, Some(Fixed { out, shards, samples, left_out, shards_left_out })) => {
            let order =
                if findings.any_sorted() { ", sorted as they were: --shuffle global mixes them" } else { "" };
            let out = out.display();
            let whole = match shards_left_out {
                0 => String::new(),
                count => format!(", and {count} shards as a whole"),
            };
            stdout::say(&format!(
                "{samples} samples in {shards} shards are in `{out}`, {left_out} were left out{whole}{order}"
            ))
        }
        (None, None) => stdout::say("no sample is lost"),
        (Some(losses), None) if is_some_unread => bail!(
            "{losses}\n  hint: what could not be read need not be lost: see to its permissions, its disk and the memory, and verify again \
             before --fix OUT writes shards without the rest"
        ),
        (Some(losses), None) if findings.any_removable() => {
            bail!("{losses}\n  hint: --fix OUT writes shards without what cannot be used into the folder OUT")
        }
        (Some(losses), None) => bail!(
            "{losses}\n  hint: write labels as integers beside their images, and files instead of links; such samples are used \
             without a label, and --fix keeps them"
        ),
    }
}
