//! The description of an exported encoder in its file.

use pipeline::Preset;
use serde::{Deserialize, Serialize};

use crate::{checkpoint::Loaded, encoder::EncoderConfig, method::MethodConfig};

/// The metadata entry that holds a [`Description`] as JSON.
pub const METADATA: &str = "amdim_stream";

/// The facts that are needed to use an encoder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// The name of the method that trained it.
    pub method: String,
    /// The settings of the method, on which its heads depend; `None` in files of early versions, which had the
    /// method AMDIM only.
    #[serde(default)]
    pub method_settings: Option<MethodConfig>,
    /// The preset of its training.
    pub preset: Preset,
    /// Width and height of its images, in pixels.
    pub side: u32,
    /// Its settings.
    pub encoder: EncoderConfig,
    /// The mean of each channel, which is subtracted from pixels of 0 to 255.
    pub mean: [f64; 3],
    /// The standard deviation of each channel, which pixels are divided by after that.
    pub std: [f64; 3],
    /// AMDIM's `method.tclip`; `None` for other methods, and in files of early versions.
    #[serde(default)]
    pub tclip: Option<f64>,
    /// The number of updates that it was trained for.
    pub step: u64,
    /// The number of classes of the online probes; `None` if there are none.
    pub classes: Option<u32>,
    /// The names of the classes, by label; empty if they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The checksum of the model in the checkpoint.
    pub checksum: String,
    /// The version of this program.
    pub program: String,
}

impl Description {
    /// Returns the description of a checkpoint.
    pub fn of(loaded: &Loaded) -> Self {
        let config = &loaded.state.config;
        let normalization = config.normalization();
        Self {
            method: config.method.chosen().name().to_owned(),
            method_settings: Some(config.method.clone()),
            preset: config.preset,
            side: config.side(),
            encoder: config.encoder.clone(),
            mean: normalization.mean,
            std: normalization.std,
            tclip: config.method.amdim().map(|amdim| amdim.tclip),
            step: loaded.state.step,
            classes: loaded.state.classes,
            class_names: loaded.state.class_names.clone(),
            checksum: loaded.checksum.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
