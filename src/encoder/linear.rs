//! An encoder of one linear layer, for tests: the smallest example of one.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use tch::{
    Tensor,
    nn::{Init, Path},
};

use super::{Encoder, EncoderSettings, Mode};
use crate::{
    numbers,
    settings::{Heading, Setting, settings, whole},
};

settings! {
    /// Size of the encoder.
    pub struct Config {
        /// Channels of the features.
        features: i64 = 8, whole(numbers::CHANNELS).flag(Heading::Model, "N");
    }
}

impl EncoderSettings for Config {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn flags(&self) -> String {
        format!("--features {}", self.features)
    }

    fn size_flags(&self) -> &'static str {
        "--features"
    }

    fn width(&self) -> i64 {
        self.features
    }

    fn check(&self, _side: u32) -> Result<()> {
        Ok(())
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        ensure!(tensors.contains_key("encoder.weight"), "`encoder.weight` is missing");
        Ok(())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        let pixels = 3 * i64::from(side) * i64::from(side);
        let normal = Init::Randn { mean: 0.0, stdev: 0.02 };
        Box::new(Linear(path.var("weight", &[pixels, self.features], normal)))
    }
}

/// The weight (3·side·side, features).
#[derive(Debug)]
struct Linear(Tensor);

impl Encoder for Linear {
    fn features(&self, images: &Tensor, _mode: Mode) -> Tensor {
        images.flatten(1, 3).matmul(&self.0)
    }

    fn elements(&self) -> i64 {
        self.0.size()[0]
    }

    fn width(&self) -> i64 {
        self.0.size()[1]
    }

    fn layers(&self) -> &'static [&'static str] {
        &["linear"]
    }

    fn pooled(&self, images: &Tensor, _layer: &str) -> Tensor {
        self.features(images, Mode::Evaluation)
    }

    fn macs(&self) -> u64 {
        self.0.numel() as u64
    }
}
