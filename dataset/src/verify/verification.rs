//! The verification of a set: reading, findings, report, cleaned shards.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use shards::{ShardName, Source};

use super::{
    compare,
    examine::{self, Examined},
    findings::Findings,
    fix::{self, Fixed, Target},
    report,
};
use crate::{
    classes::ClassNames,
    error::{Result, VerifyError},
    progress::{Progress, Stage},
};

/// The options of a verification.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The patterns of all shards of the set: keys, images and sizes are compared with one another.
    pub shards: Vec<String>,
    /// The number of threads; `None` for one per core.
    pub workers: Option<usize>,
    /// The file for the report: every finding as a JSON object on a line.
    pub report: Option<PathBuf>,
    /// The folder for cleaned shards of the same names.
    pub fix: Option<PathBuf>,
    /// Whether shards in the folder `fix` may be replaced.
    pub force: bool,
}

/// A set of which every byte has been read.
#[derive(Debug)]
pub struct Verification {
    source: Arc<dyn Source>,
    shards: Vec<Examined>,
    findings: Findings,
    target: Option<Target>,
    pool: ThreadPool,
}

impl Verification {
    /// Reads all shards, decodes every image and writes the report, which gets its name from
    /// [`save_report`](Self::save_report).
    ///
    /// # Errors
    /// No shard matches the patterns, a label means different classes in two folders, or the report or the
    /// folder for cleaned shards cannot be written.
    pub fn run(options: &Options, progress: &dyn Progress) -> Result<Self> {
        let source = shards::open(&options.shards)?;
        let names = source.list()?;
        ClassNames::beside(&names)?;
        let prepare = |out| Target::prepare(out, &names, options.force);
        let target = options.fix.as_deref().map(prepare).transpose()?;
        check_report(options.report.as_deref(), &names)?;
        let mut findings = Findings::create(options.report.as_deref())?;
        let workers = options.workers.unwrap_or(0);
        let pool = ThreadPoolBuilder::new().num_threads(workers).build()?;
        progress.begin(Stage::Verifying, examine::bytes(&*source, &names));
        let shards = pool.install(|| examine::all(&*source, &names, progress));
        progress.end();
        findings.add_all(&shards, &compare::compare(&shards))?;
        Ok(Self { source, shards, findings, target, pool })
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

    /// Writes shards without bad samples to the folder for them; does nothing without such a folder.
    ///
    /// # Errors
    /// All samples are bad, a shard could not be read completely or was changed since, or a shard cannot be
    /// written. Cleaned shards that have their names are complete.
    pub fn fix(&self, progress: &dyn Progress) -> Result<Option<Fixed>> {
        let fix = |target| fix::write(&*self.source, &self.shards, target, progress);
        self.target.as_ref().map(|target| self.pool.install(|| fix(target))).transpose()
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
