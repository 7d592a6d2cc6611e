//! ResNets as choices of an encoder.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::Path};

use super::{
    config::{Config, Stem},
    network::{Depth, ResNet},
};
use crate::{
    encoder::interface::{Encoder, EncoderSettings},
    settings::Setting,
    usage,
};

/// A ResNet of `LAYERS` layers: 18, 34 or 50.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layers<const LAYERS: u32>(pub Config);

impl<const LAYERS: u32> Layers<LAYERS> {
    const CHOICE: (&'static str, Depth) = match LAYERS {
        18 => ("resnet18", Depth::D18),
        34 => ("resnet34", Depth::D34),
        50 => ("resnet50", Depth::D50),
        _ => panic!("a ResNet has 18, 34 or 50 layers"),
    };
    const DEPTH: Depth = Self::CHOICE.1;
    /// The sides of images that the network can be trained on, in pixels.
    const SIDES: std::ops::RangeInclusive<u32> = 32..=512;
}

impl<const LAYERS: u32> EncoderSettings for Layers<LAYERS> {
    fn name(&self) -> &'static str {
        Self::CHOICE.0
    }

    fn settings(&self) -> Vec<Setting> {
        Config::settings()
    }

    fn flags(&self) -> String {
        let &Config { width, stem, zero_init_residual } = &self.0;
        let stem = match stem {
            Stem::Auto => "",
            Stem::Imagenet => " --stem imagenet",
            Stem::Cifar => " --stem cifar",
        };
        let zero = if zero_init_residual { " --zero-init-residual" } else { "" };
        format!("--encoder {} --width {width}{stem}{zero}", self.name())
    }

    fn size_flags(&self) -> &'static str {
        "--width or --encoder"
    }

    fn width(&self) -> i64 {
        Self::DEPTH.features(self.0.width)
    }

    fn check(&self, side: u32) -> Result<()> {
        if Self::SIDES.contains(&side) {
            return Ok(());
        }
        let (least, most) = (Self::SIDES.start(), Self::SIDES.end());
        Err(usage!(
            "{} takes images of {least} to {most} pixels, not of {side}", self.name();
            "set --side to a number from {least} to {most}"
        ))
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let width = self.0.width;
        let found = tensors.get("encoder.conv1.weight").and_then(|tensor| tensor.size().first().copied());
        let found = found.context("`encoder.conv1.weight` is missing")?;
        ensure!(
            found == width,
            "`encoder.conv1.weight` has {found} output channels, but the file declares {width}"
        );
        // The last convolution alone is as large as this.
        let least = self.width().saturating_mul(self.width()) / 4;
        let numbers: usize = tensors.values().map(Tensor::numel).sum();
        ensure!(
            i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
            "its {numbers} numbers are too few for a {} of width {width}",
            self.name()
        );
        Ok(())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        Box::new(ResNet::new(path, Self::DEPTH, [3, i64::from(side)], &self.0))
    }
}
