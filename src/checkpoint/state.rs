//! `state.json`: everything in a checkpoint but its tensors.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shards::{Position, ShardSet};

use super::tensors::hash;
use crate::{config::Config, failure, usage};

/// The version of the format. It changes with the fields of the state and of the configuration.
const VERSION: u32 = 4;
/// The name of the file in a checkpoint.
pub(super) const STATE: &str = "state.json";

/// The state of a run, which resuming needs beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Updates made.
    pub step: u64,
    /// The position after the last batch trained on.
    pub position: Position,
    /// The identity of the training samples.
    pub data: DataIdentity,
    /// The number of classes of the probes, if there are any.
    pub classes: Option<u32>,
    /// The names of the classes by label; empty if they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The resolved configuration.
    pub config: Config,
}

/// The identity of a set of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataIdentity {
    /// [`shards::ShardSet::digest`].
    pub digest: u64,
    /// [`shards::ShardSet::len`].
    pub samples: u64,
}

impl DataIdentity {
    /// Returns the identity of a set.
    pub fn of(set: &ShardSet) -> Self {
        Self { digest: set.digest(), samples: set.len() }
    }

    /// Checks that a checkpoint on this set can be resumed on the set `now`.
    ///
    /// # Errors
    ///
    /// If the sets differ: a position has no meaning in another set.
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
            "name another folder with --out for a run on other shards, or pass --if-changed to keep this run as `previous` in its folder"
        ))
    }
}

/// The contents of `state.json`: the content and a checksum over it.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed<T> {
    checksum: String,
    content: T,
}

/// The state, and the checksums of the tensor files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content {
    version: u32,
    pub(super) state: State,
    pub(super) tensors: BTreeMap<String, String>,
}

/// Returns the text of `state.json`. `tensors` has the [checksums](hash) of the tensor files by name.
///
/// # Errors
///
/// If the state cannot be written as JSON.
pub fn sealed(state: &State, tensors: BTreeMap<String, String>) -> Result<String> {
    let content = Content { version: VERSION, state: state.clone(), tensors };
    Ok(serde_json::to_string_pretty(&Sealed { checksum: seal(&serde_json::to_string(&content)?), content })?)
}

/// Reads the text of `state.json` and checks its version and its checksum.
pub(super) fn content(sealed: &[u8]) -> Result<Content> {
    check_version(sealed)?;
    let Sealed::<&RawValue> { checksum, content } = serde_json::from_slice(sealed).context(STATE)?;
    ensure!(checksum == seal(content.get()), "{STATE} does not match its checksum");
    serde_json::from_str(content.get()).context(STATE)
}

/// Refuses a state of another version before its fields are read.
fn check_version(sealed: &[u8]) -> Result<()> {
    let sealed: serde_json::Value = serde_json::from_slice(sealed).context(STATE)?;
    let version = &sealed["content"]["version"];
    if version == VERSION {
        return Ok(());
    }
    Err(failure!(
        "another version of amdim-stream wrote it: {STATE} has format {version}, this program reads {VERSION}";
        "use the version of the program that wrote it, or name another folder with --out"
    ))
}

/// Returns the checksum of the JSON text of a content, without its white space. The text counts, not the
/// values that this version reads from it, so that a checkpoint stays valid when a later version has settings
/// that it lacks.
fn seal(content: &str) -> String {
    hash(&without_white_space(content))
}

/// Removes the white space of valid JSON outside of strings.
fn without_white_space(json: &str) -> Vec<u8> {
    let (mut is_text, mut is_escaped) = (false, false);
    let keep = |byte: &u8| {
        if is_escaped {
            is_escaped = false;
        } else if is_text && *byte == b'\\' {
            is_escaped = true;
        } else if *byte == b'"' {
            is_text = !is_text;
        }
        is_text || !byte.is_ascii_whitespace()
    };
    json.bytes().filter(keep).collect()
}
