//! Which samples are trained on.

use pipeline::DecodeMode;
use serde::{Deserialize, Serialize};
use shards::Shuffle;

/// Which samples are trained on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Patterns that name the training shards.
    pub shards: Vec<String>,
    /// Patterns that name the validation shards; empty for none.
    pub val_shards: Vec<String>,
    /// How the training samples are shuffled.
    pub shuffle: Shuffle,
    /// How exactly JPEGs are decoded.
    pub decode: DecodeMode,
}

impl DataConfig {
    /// Lets the patterns name the same shards in every folder.
    pub fn make_absolute(&mut self) {
        for pattern in self.shards.iter_mut().chain(&mut self.val_shards) {
            *pattern = shards::absolute(pattern);
        }
    }
}
