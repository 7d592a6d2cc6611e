//! `--summary`: how a run ended, for other programs.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::{
    config::Config,
    exit::Code,
    files,
    hint::{self, WithHint},
    run::{StopReason, folder::RunFolder},
    train::RunOutcome,
    usage,
};

/// Checks, before the run, that the summary can be written to `path`.
///
/// # Errors
///
/// If its folder does not exist, or `path` is a folder.
pub fn check(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() && !path.is_dir() {
        return Ok(());
    }
    Err(usage!(
        "cannot write the summary `{}`", path.display();
        "name a file in an existing folder with --summary"
    ))
}

/// Writes the summary of a run with the settings `asked`, which began at `start`.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write(
    path: &Path,
    asked: Option<&toml::Table>,
    start: Instant,
    code: Code,
    outcome: &Result<RunOutcome>,
) -> Result<()> {
    let summary = summary(start, code, outcome);
    let out = asked.and_then(|asked| Config::out(asked).ok());
    // The contents of a folder in which another process trains are not those of this run.
    let is_own = !matches!(code, Code::Usage | Code::Locked);
    let standing = out.filter(|_| is_own).map(|out| RunFolder::of(&out).standing());
    let standing = standing.map(serde_json::to_value).transpose()?;
    let parts = [Some(summary), standing].into_iter().flatten();
    let merged: Map<String, Value> = parts.filter_map(|part| part.as_object().cloned()).flatten().collect();
    let text = serde_json::to_vec_pretty(&merged)?;
    // A device or a pipe is written to and not replaced.
    let is_special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let written = if is_special { fs::write(path, &text) } else { files::replace(path, &text) };
    written.with_context(|| format!("cannot write the summary `{}`", path.display())).with_write_hint()
}

/// Returns the part of the summary that does not come from the run folder.
fn summary(start: Instant, code: Code, outcome: &Result<RunOutcome>) -> Value {
    let interrupted_by = match outcome {
        Ok(RunOutcome::Stopped(StopReason::Signal)) => Some("signal"),
        Ok(RunOutcome::Stopped(StopReason::Time)) => Some("time"),
        _ => None,
    };
    let failure = outcome.as_ref().err();
    let hints = failure.map(hint::hints).unwrap_or_default();
    let now = Timestamp::now();
    let elapsed = start.elapsed();
    json!({
        "ended": if matches!(outcome, Ok(RunOutcome::Unchanged)) { Code::Unchanged.name() } else { code.name() },
        "exit_code": code as i32,
        "interrupted_by": interrupted_by,
        "error": failure.map(hint::causes),
        "hints": hints.iter().map(|hint| hint::labelled(hint)).collect::<Vec<_>>(),
        "program": env!("CARGO_PKG_VERSION"),
        "start": SignedDuration::try_from(elapsed).ok().and_then(|elapsed| now.checked_sub(elapsed).ok()),
        "end": now,
        "seconds": elapsed.as_secs_f64(),
    })
}
