//! The choice of an encoder.

use anyhow::Result;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

#[cfg(test)]
use super::linear;
use super::{amdim, cpc, exemplar, interface::EncoderSettings, resnet};
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
    /// A ResNet of 18 layers.
    Resnet18(resnet::Layers<18>),
    /// A ResNet of 34 layers.
    Resnet34(resnet::Layers<34>),
    /// A ResNet of 50 layers.
    Resnet50(resnet::Layers<50>),
    /// The encoder of patches of CPC (van den Oord et al. 2018).
    Cpc(cpc::Config),
    /// The network of Exemplar-CNN (Dosovitskiy et al. 2014).
    Exemplar(exemplar::Config),
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
            Self::Resnet18(resnet::Layers::default()),
            Self::Resnet34(resnet::Layers::default()),
            Self::Resnet50(resnet::Layers::default()),
            Self::Cpc(cpc::Config::default()),
            Self::Exemplar(exemplar::Config::default()),
            #[cfg(test)]
            Self::Linear(linear::Config::default()),
        ]
    }

    /// Returns the settings of the chosen encoder.
    pub fn chosen(&self) -> &dyn EncoderSettings {
        match self {
            Self::Amdim(config) => config,
            Self::Resnet18(config) => config,
            Self::Resnet34(config) => config,
            Self::Resnet50(config) => config,
            Self::Cpc(config) => config,
            Self::Exemplar(config) => config,
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
            _ => None,
        }
    }

    /// Returns the settings of CPC's encoder; `None` for another one.
    pub fn cpc(&self) -> Option<&cpc::Config> {
        match self {
            Self::Cpc(config) => Some(config),
            _ => None,
        }
    }

    /// Returns the settings of a ResNet that is not split; `None` for another encoder.
    pub fn resnet(&self) -> Option<&resnet::Config> {
        self.any_resnet().filter(|config| config.split == resnet::Split::None)
    }

    /// Returns whether the encoder is two ResNets, one for lightness and one for colour.
    pub fn is_split(&self) -> bool {
        self.any_resnet().is_some_and(|config| config.split != resnet::Split::None)
    }

    /// Returns whether the tensors of the encoder fit images of one side only.
    pub fn is_for_one_side(&self) -> bool {
        matches!(self, Self::Amdim(_) | Self::Exemplar(_))
    }

    /// Returns the size of a ResNet, of one network or of two; `None` for another encoder.
    pub fn any_resnet(&self) -> Option<&resnet::Config> {
        match self {
            Self::Resnet18(resnet::Layers(config))
            | Self::Resnet34(resnet::Layers(config))
            | Self::Resnet50(resnet::Layers(config)) => Some(config),
            _ => None,
        }
    }

    /// Sets the colour space of a ResNet. Other encoders stay as they are.
    #[must_use]
    pub fn split(mut self, split: resnet::Split) -> Self {
        match &mut self {
            Self::Resnet18(config) => config.0.split = split,
            Self::Resnet34(config) => config.0.split = split,
            Self::Resnet50(config) => config.0.split = split,
            _ => (),
        }
        self
    }

    /// Returns the settings of all encoders, the first of each name.
    pub fn settings() -> Vec<Setting> {
        let of = |encoder: &Self| (encoder.chosen().name(), encoder.chosen().settings());
        let choices: Vec<_> = Self::all().iter().map(of).collect();
        named::united(
            ("encoder", "ENCODER"),
            "Encoder that the method trains.",
            "that of the method",
            &choices,
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
            "resnet18" => named::read(section).map(Self::Resnet18),
            "resnet34" => named::read(section).map(Self::Resnet34),
            "resnet50" => named::read(section).map(Self::Resnet50),
            "cpc" => named::read(section).map(Self::Cpc),
            "exemplar" => named::read(section).map(Self::Exemplar),
            #[cfg(test)]
            "linear" => named::read(section).map(Self::Linear),
            _ => Err(D::Error::custom(format!("there is no encoder named `{name}`"))),
        }
    }
}
