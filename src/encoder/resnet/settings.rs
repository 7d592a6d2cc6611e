//! ResNets as choices of an encoder.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use pipeline::Normalization;
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::Path};

use super::{
    colors::Split,
    config::{Config, Stem},
    network::{Depth, ResNet},
    split::SplitNetwork,
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

    /// Returns what the names of each network's tensors begin with, after that of the encoder.
    fn networks(&self) -> &'static [&'static str] {
        match self.0.split {
            Split::None => &[""],
            Split::Lab | Split::Ycbcr => &[".l_to_ab", ".ab_to_l"],
        }
    }
}

impl<const LAYERS: u32> EncoderSettings for Layers<LAYERS> {
    fn name(&self) -> &'static str {
        Self::CHOICE.0
    }

    fn settings(&self) -> Vec<Setting> {
        Config::settings()
    }

    fn flags(&self) -> String {
        let &Config { width, stem, stem_width, split, zero_init_residual } = &self.0;
        let stem = match stem {
            Stem::Auto => "",
            Stem::Imagenet => " --stem imagenet",
            Stem::Cifar => " --stem cifar",
        };
        let split = match split {
            Split::None => "",
            Split::Lab => " --split lab",
            Split::Ycbcr => " --split ycbcr",
        };
        let stem_width = stem_width.map(|width| format!(" --stem-width {width}")).unwrap_or_default();
        let zero = if zero_init_residual { " --zero-init-residual" } else { "" };
        format!("--encoder {} --width {width}{stem}{stem_width}{split}{zero}", self.name())
    }

    fn size_flags(&self) -> &'static str {
        "--width or --encoder"
    }

    fn width(&self) -> i64 {
        self.networks().len() as i64 * Self::DEPTH.features(self.0.width)
    }

    /// Networks for lightness and colour convert red, green and blue from 0 to 1.
    fn normalization(&self) -> Option<Normalization> {
        let is_split = self.0.split != Split::None;
        is_split.then_some(Normalization { mean: [0.0; 3], std: [255.0; 3] })
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

    fn takes_other_sides(&self) -> bool {
        true
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let width = self.0.width;
        for network in self.networks() {
            let name = format!("encoder{network}.conv1.weight");
            let found = tensors.get(&name).and_then(|tensor| tensor.size().first().copied());
            let found = found.with_context(|| format!("`{name}` is missing"))?;
            let declared = self.0.stem_width.unwrap_or(width);
            ensure!(
                found == declared,
                "`{name}` has {found} output channels, but the file declares {declared}"
            );
        }
        // The last convolution alone is as large as this.
        let least = Self::DEPTH.features(width).saturating_pow(2) / 4;
        let numbers: usize = tensors.values().map(Tensor::numel).sum();
        ensure!(
            i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
            "its {numbers} numbers are too few for a {} of width {width}",
            self.name()
        );
        Ok(())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        let side = i64::from(side);
        match self.0.split {
            Split::None => Box::new(ResNet::new(path, Self::DEPTH, [3, side], &self.0)),
            Split::Lab | Split::Ycbcr => Box::new(SplitNetwork::new(path, Self::DEPTH, side, &self.0)),
        }
    }
}
