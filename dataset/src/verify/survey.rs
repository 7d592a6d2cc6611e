//! The shards of a set, as they are read and written.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use shards::{Access, ShardName, Source};

use super::{
    examine::{self, Examined},
    fix,
};
use crate::{
    classes::ClassNames,
    error::Result,
    progress::{Progress, Stage},
};

/// The options of a verification.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The way to the shards.
    pub access: Arc<Access>,
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

/// The shards of a set, and the threads that read and write them.
#[derive(Debug)]
pub struct Survey {
    source: Arc<dyn Source>,
    names: Vec<ShardName>,
    pool: ThreadPool,
}

impl Survey {
    /// Lists the shards that the patterns match, in order.
    ///
    /// # Errors
    /// No shard matches the patterns, or a label means different classes in two folders.
    pub fn open(options: &Options) -> Result<Self> {
        let source = options.access.open(&options.shards)?;
        let names = source.list()?;
        ClassNames::of_source(&*source, &names)?;
        let pool = ThreadPoolBuilder::new().num_threads(options.workers.unwrap_or(0)).build()?;
        Ok(Self { source, names, pool })
    }

    /// Returns the names of the shards, in the order of the patterns.
    pub fn names(&self) -> &[ShardName] {
        &self.names
    }

    /// Returns the bytes of each shard; 0 where they are not known.
    pub fn sizes(&self) -> Vec<u64> {
        self.names.iter().map(|name| examine::bytes(&*self.source, name)).collect()
    }

    /// Reads the shards with these numbers, and decodes every image. A shard that cannot be read is no error: its
    /// faults say so.
    pub fn read(&self, numbers: &[usize], progress: &dyn Progress) -> Vec<Examined> {
        let names: Vec<_> = numbers.iter().map(|&number| &self.names[number]).collect();
        progress.begin(Stage::Verifying, names.iter().map(|name| examine::bytes(&*self.source, name)).sum());
        let read = self.pool.install(|| examine::all(&*self.source, &names, progress));
        progress.end();
        read
    }

    /// Writes shards that were read to a folder, with the same names and without bad samples. A shard of which no sample
    /// is left is not written. The samples that are left out depend on their shard alone.
    ///
    /// # Errors
    /// A shard could not be read completely or was changed since, or a shard cannot be written. Cleaned shards that have
    /// their names are complete.
    pub fn clean(&self, shards: &[&Examined], out: &Path, progress: &dyn Progress) -> Result<()> {
        self.pool.install(|| fix::write(&*self.source, shards, out, progress))
    }
}
