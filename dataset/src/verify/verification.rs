//! The verification of a set: reading, findings, report, cleaned shards.

use std::path::{Path, PathBuf};

use shards::ShardName;

use super::{
    compare,
    examine::Examined,
    findings::Findings,
    fix::{self, Fixed},
    report,
    survey::{Options, Survey},
};
use crate::{
    error::{Result, VerifyError},
    progress::Progress,
};

/// The places of what a verification writes: the report and the folder for cleaned shards.
#[derive(Debug)]
pub struct Outputs {
    findings: Findings,
    fix: Option<PathBuf>,
}

impl Outputs {
    /// Makes the folder for cleaned shards, and begins the report under a temporary name.
    ///
    /// # Errors
    /// The report or the folder for cleaned shards cannot be written.
    pub fn prepare(options: &Options, names: &[ShardName]) -> Result<Self> {
        options.fix.as_deref().map(|out| fix::prepare(out, names, options.force)).transpose()?;
        check_report(options.report.as_deref(), names)?;
        let findings = Findings::create(options.report.as_deref())?;
        Ok(Self { findings, fix: options.fix.clone() })
    }
}

/// A set of which every byte has been read.
#[derive(Debug)]
pub struct Verification {
    shards: Vec<Examined>,
    findings: Findings,
    fix: Option<PathBuf>,
}

impl Verification {
    /// Reads all shards, decodes every image and writes the report, which gets its name from
    /// [`save_report`](Self::save_report).
    ///
    /// # Errors
    /// No shard matches the patterns, a label means different classes in two folders, or the report or the
    /// folder for cleaned shards cannot be written.
    pub fn run(options: &Options, progress: &dyn Progress) -> Result<Self> {
        let survey = Survey::open(options)?;
        let outputs = Outputs::prepare(options, survey.names())?;
        let all: Vec<_> = (0..survey.names().len()).collect();
        Self::of(outputs, survey.read(&all, progress))
    }

    /// Compares the shards of a set, all of them in their order, and writes the report.
    ///
    /// # Errors
    /// The report cannot be written.
    pub fn of(outputs: Outputs, shards: Vec<Examined>) -> Result<Self> {
        let Outputs { mut findings, fix } = outputs;
        findings.add_all(&shards, &compare::compare(&shards))?;
        Ok(Self { shards, findings, fix })
    }

    /// Returns what is known of the shards, in their order.
    pub fn shards(&self) -> &[Examined] {
        &self.shards
    }

    /// Returns the findings.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Returns whether some bytes could not be read, or some image could not be decoded for lack of memory:
    /// they need not be damaged.
    pub fn is_some_unread(&self) -> bool {
        self.shards.iter().any(|shard| shard.is_unread)
    }

    /// Gives the report its name; does nothing without a report.
    ///
    /// # Errors
    /// The report cannot be written.
    pub fn save_report(&mut self) -> Result<()> {
        Ok(self.findings.save_report()?)
    }

    /// Checks that the set can be cleaned, if there is a folder for cleaned shards.
    ///
    /// # Errors
    /// All samples are bad, or a shard could not be read completely.
    pub fn check_fix(&self) -> Result<()> {
        if self.fix.is_some() { fix::check(&self.shards) } else { Ok(()) }
    }

    /// Counts the shards in the folder for cleaned shards, once they are written; `None` without such a folder. Logs
    /// the names of shards that are left out.
    pub fn fixed(&self) -> Option<Fixed> {
        self.fix.as_deref().map(|out| fix::count(&self.shards, out))
    }
}

/// Checks that the report does not replace a shard, or any file other than an earlier report.
fn check_report(report: Option<&Path>, names: &[ShardName]) -> Result<(), VerifyError> {
    let Some(there) = report.and_then(|report| report.canonicalize().ok()) else { return Ok(()) };
    let is_there =
        |name: &&ShardName| Path::new(name.as_str()).canonicalize().is_ok_and(|path| path == there);
    if let Some(name) = names.iter().find(is_there) {
        return Err(VerifyError::ReportIsShard { path: name.shared() });
    }
    if there.is_file() && !report::is_report(&there) {
        return Err(VerifyError::ReportExists { path: there });
    }
    Ok(())
}
