//! A set that is verified.

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

/// What to verify, and where to write what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Patterns of all shards of the set: keys, images and sizes are compared with one another.
    pub shards: Vec<String>,
    /// Threads; one a core if not given.
    pub workers: Option<usize>,
    /// The file that gets every finding, one JSON object a line.
    pub report: Option<PathBuf>,
    /// The folder for cleaned shards of the same names.
    pub fix: Option<PathBuf>,
    /// Whether shards in that folder may be replaced.
    pub force: bool,
}

/// A set that has been read as a whole.
#[derive(Debug)]
pub struct Verification {
    source: Arc<dyn Source>,
    shards: Vec<Examined>,
    findings: Findings,
    target: Option<Target>,
    pool: ThreadPool,
}

impl Verification {
    /// Reads all shards and decodes every image. The report is written, but has its name only after
    /// [`save_report`](Self::save_report).
    ///
    /// # Errors
    /// No shards have such names, a label means different classes in two folders, or what is to be written cannot be.
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

    /// What was found.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Whether the system did not give all bytes of a shard: they need not be damaged.
    pub fn is_some_unread(&self) -> bool {
        self.shards.iter().any(|shard| shard.is_unread)
    }

    /// Gives the report its name, where there is one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_report(&mut self) -> Result<()> {
        Ok(self.findings.save_report()?)
    }

    /// Writes shards without the samples that cannot be used; nothing without a folder for them.
    ///
    /// # Errors
    /// Nothing is left to be written, some of a shard could not be read or was changed since, or a shard cannot be written. Shards
    /// that have their names are complete.
    pub fn fix(&self, progress: &dyn Progress) -> Result<Option<Fixed>> {
        let fix = |target| fix::write(&*self.source, &self.shards, target, progress);
        self.target.as_ref().map(|target| self.pool.install(|| fix(target))).transpose()
    }
}

/// The report is not to take the place of a shard, or of anything but an earlier report.
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
