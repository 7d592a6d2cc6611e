//! Which encoder is trained.

use anyhow::Result;
use serde::{Deserialize, Deserializer, Serialize};

use super::amdim;
use crate::{settings::Setting, usage};

/// Which encoder, with its size.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EncoderConfig {
    /// The encoder of AMDIM (Bachman et al. 2019).
    Amdim(amdim::Config),
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

/// A table that names no encoder is AMDIM's: runs of before there was another have none but that.
impl<'de> Deserialize<'de> for EncoderConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        amdim::Config::deserialize(deserializer).map(Self::Amdim)
    }
}

impl EncoderConfig {
    /// What is known of the settings of all encoders.
    pub fn settings() -> Vec<Setting> {
        amdim::Config::settings()
    }

    /// The flags that make an encoder of this size.
    pub fn flags(&self) -> String {
        match self {
            Self::Amdim(amdim::Config { ndf, n_rkhs, n_depth, use_bn }) => {
                format!("--ndf {ndf} --n-rkhs {n_rkhs} --n-depth {n_depth} --use-bn {use_bn}")
            }
        }
    }

    /// Checks sizes against each other, for images of `side`.
    ///
    /// # Errors
    ///
    /// Where no such encoder can be built.
    pub fn check(&self, side: u32) -> Result<()> {
        match self {
            Self::Amdim(config) => config.check(side),
        }
    }
}

impl amdim::Config {
    /// The last block widens to the embeddings and cannot narrow.
    fn check(&self, side: u32) -> Result<()> {
        let widest = self.ndf.saturating_mul(if side == 32 { 4 } else { 8 });
        if self.n_rkhs >= widest {
            return Ok(());
        }
        Err(usage!(
            "`encoder.n_rkhs` is {}, but the last block of ndf {} is {widest} wide and can only widen", self.n_rkhs, self.ndf;
            "set --n-rkhs to {widest} or more, or lower --ndf"
        ))
    }
}
