//! The choice of a method.

use anyhow::Result;
use pipeline::Preset;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

#[cfg(test)]
use super::toy;
use super::{amdim, cmc, cpc, exemplar, instdisc, interface::MethodSettings, moco, simclr};
use crate::settings::{Setting, named};

/// A method with its settings: the section `[method]` of a file. The setting `name` chooses the method.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum MethodConfig {
    /// AMDIM (Bachman et al. 2019).
    Amdim(amdim::Config),
    /// SimCLR (Chen et al. 2020).
    Simclr(simclr::Config),
    /// Instance discrimination, also called NPID (Wu et al. 2018).
    Instdisc(instdisc::Config),
    /// MoCo (He et al. 2020).
    Moco(moco::Config),
    /// CPC on images (van den Oord et al. 2018).
    Cpc(cpc::Config),
    /// Exemplar-CNN (Dosovitskiy et al. 2014).
    Exemplar(exemplar::Config),
    /// CMC: contrastive multiview coding (Tian et al. 2019).
    Cmc(cmc::Config),
    /// A method of a few lines, for tests.
    #[cfg(test)]
    Toy(toy::Config),
}

impl MethodConfig {
    /// The name of the method of a section without one.
    pub(crate) const UNNAMED: &'static str = "amdim";

    /// Returns all methods, each with its published settings for a preset.
    pub fn all(preset: Preset) -> Vec<Self> {
        vec![
            Self::Amdim(amdim::Config::default()),
            Self::Simclr(simclr::Config::of(preset)),
            Self::Instdisc(instdisc::Config::of(preset)),
            Self::Moco(moco::Config::of(preset)),
            Self::Cpc(cpc::Config::default()),
            Self::Exemplar(exemplar::Config::default()),
            Self::Cmc(cmc::Config::of(preset)),
            #[cfg(test)]
            Self::Toy(toy::Config::default()),
        ]
    }

    /// Returns the settings of the chosen method.
    pub fn chosen(&self) -> &dyn MethodSettings {
        match self {
            Self::Amdim(config) => config,
            Self::Simclr(config) => config,
            Self::Instdisc(config) => config,
            Self::Moco(config) => config,
            Self::Cpc(config) => config,
            Self::Exemplar(config) => config,
            Self::Cmc(config) => config,
            #[cfg(test)]
            Self::Toy(config) => config,
        }
    }

    /// Returns the method called `name`, with its published settings for a preset.
    ///
    /// # Errors
    ///
    /// If there is no method of that name.
    pub fn named(name: &str, preset: Preset) -> Result<Self> {
        named::find("method", name, Self::all(preset), |method| method.chosen().name())
    }

    /// Returns the settings of AMDIM; `None` for another method.
    pub fn amdim(&self) -> Option<&amdim::Config> {
        match self {
            Self::Amdim(config) => Some(config),
            _ => None,
        }
    }

    /// Returns the settings of all methods, the first of each name.
    pub fn settings() -> Vec<Setting> {
        let of = |method: &Self| (method.chosen().name(), method.chosen().settings());
        let choices: Vec<_> = Self::all(Preset::default()).iter().map(of).collect();
        named::united(("method", "METHOD"), "Method that trains the encoder.", Self::UNNAMED, &choices)
    }
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Amdim(amdim::Config::default())
    }
}

impl<'de> Deserialize<'de> for MethodConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, section) = named::split(deserializer, Self::UNNAMED)?;
        match name.as_str() {
            Self::UNNAMED => named::read(section).map(Self::Amdim),
            "simclr" => named::read(section).map(Self::Simclr),
            "instdisc" => named::read(section).map(Self::Instdisc),
            "moco" => named::read(section).map(Self::Moco),
            "cpc" => named::read(section).map(Self::Cpc),
            "exemplar" => named::read(section).map(Self::Exemplar),
            "cmc" => named::read(section).map(Self::Cmc),
            #[cfg(test)]
            "toy" => named::read(section).map(Self::Toy),
            _ => Err(D::Error::custom(format!("there is no method named `{name}`"))),
        }
    }
}
