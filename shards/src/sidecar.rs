//! The index beside a shard, `NAME.index`, from which programs that read the shard from a server take it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Error, IndexConfig, LocalSource, Partial, Result, ShardName, ShardSet, cache::decode_beside};

/// The ending that is appended to the name of a shard.
const ENDING: &str = ".index";

/// Returns the path of the index beside a shard.
pub fn index_path(shard: &Path) -> PathBuf {
    let mut name = shard.as_os_str().to_owned();
    name.push(ENDING);
    name.into()
}

/// Writes the index of a shard in a local file beside it.
///
/// # Errors
/// The shard cannot be read, or the index cannot be written.
pub fn write_index_beside(shard: &Path) -> Result<()> {
    let name = shard.to_str().ok_or_else(|| Error::Open {
        path: shard.to_owned(),
        source: io::ErrorKind::InvalidFilename.into(),
    })?;
    let source = LocalSource::of_file(name);
    let index = ShardSet::index_beside(&source, &ShardName::from(name), &IndexConfig::default())?;
    write_index(&index_path(shard), &index)
}

/// Writes an encoded index to a file, which is complete or absent.
///
/// # Errors
/// It cannot be written.
pub fn write_index(path: &Path, index: &[u8]) -> Result<()> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    Partial::beside(path).map_err(failed)?.write(index).map_err(failed)
}

/// Returns whether a file is the present index of a shard of `size` bytes.
pub fn is_index(path: &Path, size: u64) -> bool {
    fs::read(path).is_ok_and(|bytes| decode_beside(&bytes, size).is_some())
}
