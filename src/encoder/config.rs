//! The choice of an encoder.

use anyhow::Result;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

#[cfg(test)]
use super::linear;
use super::{amdim, interface::EncoderSettings};
use crate::settings::{Setting, named};

/// An encoder with its settings: the section `[encoder]` of a file.
///
/// The setting `name` chooses the encoder. AMDIM's is written without it, as versions that had no other
/// encoder did; a section without a name is read as AMDIM's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum EncoderConfig {
    /// An encoder of one layer, for tests.
    #[cfg(test)]
    Linear(linear::Config),
    /// The encoder of AMDIM (Bachman et al. 2019).
    #[serde(untagged)]
    Amdim(amdim::Config),
}

impl EncoderConfig {
    /// The name of the encoder of a section without one.
    pub(crate) const UNNAMED: &'static str = "amdim";

    /// Returns all encoders, each with its default settings.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Amdim(amdim::Config::default()),
            #[cfg(test)]
            Self::Linear(linear::Config::default()),
        ]
    }

    /// Returns the settings of the chosen encoder.
    pub fn chosen(&self) -> &dyn EncoderSettings {
        match self {
            Self::Amdim(config) => config,
            #[cfg(test)]
            Self::Linear(config) => config,
        }
    }

    /// Returns the encoder called `name`, with its default settings.
    ///
    /// # Errors
    ///
    /// If there is no encoder of that name.
    pub fn named(name: &str) -> Result<Self> {
        named::find("encoder", name, Self::all(), |encoder| encoder.chosen().name())
    }

    /// Returns the settings of AMDIM's encoder; `None` for another one.
    pub fn amdim(&self) -> Option<&amdim::Config> {
        match self {
            Self::Amdim(config) => Some(config),
            #[cfg(test)]
            Self::Linear(_) => None,
        }
    }

    /// Returns the settings of all encoders, the first of each name.
    pub fn settings() -> Vec<Setting> {
        named::united(
            "The encoder. Without a name it is `amdim`.",
            Self::all().iter().map(|encoder| encoder.chosen().settings()),
        )
    }
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self::Amdim(amdim::Config::default())
    }
}

impl From<amdim::Config> for EncoderConfig {
    fn from(config: amdim::Config) -> Self {
        Self::Amdim(config)
    }
}

impl<'de> Deserialize<'de> for EncoderConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, section) = named::split(deserializer, Self::UNNAMED)?;
        match name.as_str() {
            Self::UNNAMED => named::read(section).map(Self::Amdim),
            #[cfg(test)]
            "linear" => named::read(section).map(Self::Linear),
            _ => Err(D::Error::custom(format!("there is no encoder named `{name}`"))),
        }
    }
}
