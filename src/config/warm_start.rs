//! The setting of `--warm-start`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The run or checkpoint whose encoder training begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub enum WarmStart {
    /// The latest checkpoint of the previous run in the run folder. A folder with this name is written
    /// `./last`.
    Last,
    /// The best checkpoint of the previous run in the run folder. A folder with this name is written
    /// `./best`.
    Best,
    /// A run folder or a checkpoint.
    Path(PathBuf),
}

impl From<PathBuf> for WarmStart {
    fn from(path: PathBuf) -> Self {
        match path.to_str() {
            Some("last") => Self::Last,
            Some("best") => Self::Best,
            _ => Self::Path(path),
        }
    }
}

impl From<WarmStart> for PathBuf {
    fn from(start: WarmStart) -> Self {
        match start {
            WarmStart::Last => "last".into(),
            WarmStart::Best => "best".into(),
            WarmStart::Path(path) => path,
        }
    }
}
