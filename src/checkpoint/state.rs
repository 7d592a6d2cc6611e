//! `state.json`: what a checkpoint says beside its tensors.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use shards::{Position, ShardSet};

use super::tensors::hash;
use crate::{config::Config, usage};

/// Changes whenever the state does, the configuration included.
const VERSION: u32 = 4;
/// The file in a checkpoint.
pub(super) const STATE: &str = "state.json";

/// What resuming needs beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Updates made.
    pub step: u64,
    /// Where the samples stand after the last batch trained on.
    pub position: Position,
    /// The set trained on.
    pub data: DataIdentity,
    /// Classes of the probes; none without probes.
    pub classes: Option<u32>,
    /// Their names, by label; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The resolved configuration.
    pub config: Config,
}

/// What tells one set of samples from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataIdentity {
    /// [`shards::ShardSet::digest`].
    pub digest: u64,
    /// [`shards::ShardSet::len`].
    pub samples: u64,
}

impl DataIdentity {
    /// That of a set.
    pub fn of(set: &ShardSet) -> Self {
        Self { digest: set.digest(), samples: set.len() }
    }

    /// Makes sure that a checkpoint which was made on this set can go on on another: a position means nothing in another one.
    ///
    /// # Errors
    ///
    /// Where the sets differ.
    pub fn check(self, now: Self) -> Result<()> {
        if self == now {
            return Ok(());
        }
        if self.samples == 0 {
            return Err(usage!(
                "the folder holds an imported encoder, which cannot be trained on there";
                "name another folder with --out, and the imported one with --warm-start"
            ));
        }
        Err(usage!(
            "the training shards are not the ones that this run began with ({} samples then, {} now)", self.samples, now.samples;
            "name another folder with --out for a run on other shards, or keep this run as the folder's `previous` one with --if-changed"
        ))
    }
}

/// `state.json`: the state, what it says of the tensor files, and a checksum over both.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    checksum: String,
    content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content {
    version: u32,
    pub(super) state: State,
    pub(super) tensors: BTreeMap<String, String>,
}

/// The text of `state.json`, where the tensor files have these [checksums](hash) by their names.
pub fn sealed(state: &State, tensors: BTreeMap<String, String>) -> Result<String> {
    let content = Content { version: VERSION, state: state.clone(), tensors };
    Ok(serde_json::to_string_pretty(&Sealed { checksum: seal(&content)?, content })?)
}

/// What `state.json` says, once its checksum holds.
pub(super) fn content(sealed: &[u8]) -> Result<Content> {
    check_version(sealed)?;
    let Sealed { checksum, content } = serde_json::from_slice(sealed).context(STATE)?;
    ensure!(checksum == seal(&content)?, "{STATE} does not match its checksum");
    Ok(content)
}

/// Says so where the state is of a version that has other fields, before they are read.
fn check_version(sealed: &[u8]) -> Result<()> {
    let sealed: serde_json::Value = serde_json::from_slice(sealed).context(STATE)?;
    let version = &sealed["content"]["version"];
    ensure!(
        version == VERSION,
        "another version of amdim-stream wrote it: {STATE} has format {version}, this program reads {VERSION}"
    );
    Ok(())
}

fn seal(content: &Content) -> Result<String> {
    Ok(hash(&serde_json::to_vec(content)?))
}
