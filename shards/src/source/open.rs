//! The choice of the source for patterns.

use std::sync::Arc;

use super::{interface::Source, local::LocalSource};
use crate::Result;

/// Opens the source of the shards that the patterns name: local files (see [`expand`](crate::expand)).
///
/// ```no_run
/// use shards::{IndexConfig, ShardSet};
///
/// let source = shards::open(&["data/train-<000..146>.tar".to_owned()])?;
/// let set = ShardSet::open(source, &IndexConfig::default())?;
/// # Ok::<(), shards::Error>(())
/// ```
///
/// # Errors
///
/// A pattern is invalid, or names missing files.
pub fn open(patterns: &[String]) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(LocalSource::new(patterns)?))
}
