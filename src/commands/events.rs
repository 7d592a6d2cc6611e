//! `amdim-stream events`: writes the records of runs as event files for TensorBoard.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{metrics, observe::tensorboard::records, run::folder::RunFolder, stdout, usage};

/// The flags of `events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folders, also of runs that go on
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write to DIR/NAME, where NAME is that of the run folder [default: the folder tensorboard of each run]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Writes an event file for each run, and prints its path.
///
/// # Errors
///
/// If a folder is not that of a run or its run has no records yet, if two runs would have the same folder, or if a file
/// cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let mut folders = BTreeSet::new();
    let runs = args.runs.iter().map(|run| Ok((RunFolder::of(run), folder_of(run, args)?)));
    let runs = runs.collect::<Result<Vec<_>>>()?;
    for (run, folder) in &runs {
        if !folders.insert(folder) {
            return Err(usage!(
                "two of the runs would be written to `{}`", folder.display();
                "call the command once for each of them, with another --out"
            ));
        }
        check(run)?;
    }
    runs.iter().try_for_each(|(run, folder)| write(run, folder))
}

/// Returns the folder for the event file of a run.
fn folder_of(run: &Path, args: &Args) -> Result<PathBuf> {
    let Some(out) = &args.out else { return Ok(RunFolder::of(run).tensorboard) };
    let path = fs::canonicalize(run).with_context(|| format!("cannot find `{}`", run.display()))?;
    Ok(out.join(path.file_name().unwrap_or_default()))
}

fn check(run: &RunFolder) -> Result<()> {
    if run.metrics.exists() {
        return Ok(());
    }
    Err(usage!(
        "`{}` has no metrics.jsonl, so there is nothing to write", run.path.display();
        "name the folder of a run (--out) that has made a record; it makes one every --log-every steps"
    ))
}

fn write(run: &RunFolder, folder: &Path) -> Result<()> {
    let records = metrics::read(&run.metrics)?;
    let config = fs::read_to_string(&run.config).unwrap_or_default();
    let file = records::write(folder, config, &records)?;
    stdout::say(&format!(
        "{} records of `{}`: `{}`; open it with tensorboard --logdir '{}'",
        records.len(),
        run.path.display(),
        file.display(),
        folder.display()
    ))?;
    let last = records.iter().map(metrics::Record::step).max();
    stdout::print(&json!({"run": run.path, "file": file, "records": records.len(), "step": last}))
}
