//! Which method trains an encoder.

use pipeline::{Preset, Recipe};
use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::{
    amdim::{self, Amdim},
    interface::Method,
};
use crate::{
    encoder::EncoderConfig,
    settings::{Setting, in_files_only},
};

/// Which method, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum MethodConfig {
    /// AMDIM (Bachman et al. 2019).
    Amdim(amdim::Config),
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Amdim(amdim::Config::default())
    }
}

impl MethodConfig {
    /// What is known of the settings of all methods, and of the method's name.
    pub fn settings() -> Vec<Setting> {
        let name = Setting::new("name", "The method.", "", in_files_only());
        [vec![name], amdim::Config::settings()].concat()
    }

    /// The views that the method wants of each image.
    pub fn recipe(&self, preset: Preset) -> Recipe {
        match self {
            Self::Amdim(_) => preset.recipe(),
        }
    }

    /// The method with a freshly initialized encoder for images of `side`, its tensors named under `path`.
    pub fn build(&self, path: &Path, side: u32, encoder: &EncoderConfig) -> Box<dyn Method> {
        match (self, encoder) {
            (Self::Amdim(config), EncoderConfig::Amdim(encoder)) => {
                Box::new(Amdim::new(path, side, encoder, config))
            }
        }
    }
}
