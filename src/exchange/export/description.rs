//! What a file says of the encoder in it.

use pipeline::Preset;
use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::Loaded,
    encoder::EncoderConfig,
    method::{MethodConfig, amdim},
};

/// The metadata entry that holds a [`Description`] as JSON.
pub const METADATA: &str = "amdim_stream";

/// What one has to know of an encoder to use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// The method that it was trained by.
    pub method: String,
    /// The kind of data.
    pub preset: Preset,
    /// Width and height of its images.
    pub side: u32,
    /// Its size.
    pub encoder: EncoderConfig,
    /// For each channel what is subtracted from pixels of 0 to 255.
    pub mean: [f64; 3],
    /// What they are divided by then.
    pub std: [f64; 3],
    /// Scores were clipped softly to ± this; none in files of before this was said.
    #[serde(default)]
    pub tclip: Option<f64>,
    /// Updates that it was trained for.
    pub step: u64,
    /// Classes of the probes, where there are any.
    pub classes: Option<u32>,
    /// The names of the classes that it was trained on, by label; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// Checksum of the checkpoint's model.
    pub checksum: String,
    /// The version of this program.
    pub program: String,
}

impl Description {
    /// That of a checkpoint.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let config = &loaded.state.config;
        let normalization = config.preset.normalization();
        let MethodConfig::Amdim(amdim::Config { tclip, .. }) = config.method;
        Self {
            method: "amdim".to_owned(),
            preset: config.preset,
            side: config.preset.side(),
            encoder: config.encoder.clone(),
            mean: normalization.mean,
            std: normalization.std,
            tclip: Some(tclip),
            step: loaded.state.step,
            classes: loaded.state.classes,
            class_names: loaded.state.class_names.clone(),
            checksum: loaded.checksum.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
