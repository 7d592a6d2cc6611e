//! Shards in local files.

use std::{io, path::Path};

use super::interface::Source;
use crate::{Error, Result, Shard, ShardName, Stamp, mapping::Mapping, pattern};

/// A source of shards in local files.
#[derive(Debug, Clone)]
pub struct LocalSource {
    names: Vec<ShardName>,
}

impl LocalSource {
    /// Expands the patterns (see [`expand`](crate::expand)) to files, all of which must exist.
    ///
    /// # Errors
    /// A pattern is invalid, a file is missing, or a path is not UTF-8.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let paths = pattern::expand(patterns)?;
        let name = |path: &Path| {
            let text = path.to_str().ok_or_else(|| open_error(path, io::ErrorKind::InvalidFilename.into()));
            text.map(ShardName::from)
        };
        Ok(Self { names: paths.iter().map(|path| name(path)).collect::<Result<_>>()? })
    }

    /// Makes the source of one file, which is not looked for.
    pub(crate) fn of_file(path: &str) -> Self {
        Self { names: vec![ShardName::from(path)] }
    }
}

impl Source for LocalSource {
    fn list(&self) -> Result<Vec<ShardName>> {
        Ok(self.names.clone())
    }

    fn stamp(&self, name: &ShardName) -> Result<Stamp> {
        let path = Path::new(name.as_str());
        path.metadata().map(|metadata| Stamp::of(&metadata)).map_err(|source| open_error(path, source))
    }

    fn open(&self, name: &ShardName) -> Result<Shard> {
        let path = Path::new(name.as_str());
        let (mapping, metadata) = Mapping::open(path).map_err(|source| open_error(path, source))?;
        Ok(Shard::mapped(mapping, Stamp::of(&metadata)))
    }

    fn identity(&self, name: &ShardName) -> Option<String> {
        Path::new(name.as_str()).canonicalize().ok()?.into_os_string().into_string().ok()
    }
}

fn open_error(path: &Path, source: io::Error) -> Error {
    Error::Open { path: path.to_owned(), source }
}
