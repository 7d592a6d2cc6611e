//! The stages of torchvision's networks in both modes.

use anyhow::{Result, bail, ensure};
use tch::{Device, Tensor, nn::VarStore};

use super::frame::{self, Named, Pass, Subject};
use crate::{
    encoder::{
        Encoder, Mode,
        resnet::{Config, Depth, ResNet, Stem},
        set_float_kind,
    },
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
};

/// Returns the depth, and the settings, of the network in the configuration of a case.
pub(super) fn config(case: &Case) -> Result<(Depth, Config)> {
    let config = &case.facts["config"];
    let depth = match config["depth"].as_i64() {
        Some(18) => Depth::D18,
        Some(34) => Depth::D34,
        Some(50) => Depth::D50,
        _ => bail!("{}: depth {}", case.name, config["depth"]),
    };
    let stem = match config["stem"].as_str() {
        Some("imagenet") => Stem::Imagenet,
        Some("cifar") => Stem::Cifar,
        _ => bail!("{}: stem {}", case.name, config["stem"]),
    };
    let width = config["base"].as_i64().unwrap_or(64);
    Ok((depth, Config { width, stem, ..Config::default() }))
}

struct Network {
    vars: VarStore,
    encoder: ResNet,
    images: Tensor,
    /// The number of blocks after which each stage ends, the stem included.
    ends: [usize; 4],
}

impl Network {
    fn stages(&self, mode: Mode) -> Named {
        let names = ["layer1", "layer2", "layer3", "layer4"];
        let mut found = Vec::new();
        let mut x = self.images.shallow_clone();
        for number in 0..self.encoder.blocks() {
            x = self.encoder.block(number, &x, mode);
            if let Some(stage) = self.ends.iter().position(|end| *end == number) {
                found.push((names[stage], x.shallow_clone()));
            }
        }
        found.push(("features", x));
        found
    }
}

impl Subject for Network {
    fn vars(&self) -> &VarStore {
        &self.vars
    }

    fn evaluated(&self) -> Result<Named> {
        let features = self.encoder.features(&self.images, Mode::Evaluation);
        let stages = self.stages(Mode::Evaluation);
        ensure!(stages[4].1.equal(&features), "the blocks one after the other are the network");
        Ok(stages)
    }

    fn pass(&mut self, _number: i64) -> Result<Pass> {
        Ok(Pass { outputs: self.stages(Mode::TRAINING), losses: vec![("none", 0.0)] })
    }
}

/// Compares every case on the device.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("resnet_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    let (depth, config) = config(&case)?;
    let ends = match depth {
        Depth::D18 => [2, 4, 6, 8],
        Depth::D34 | Depth::D50 => [3, 7, 13, 16],
    };
    let kind = precision.kind();
    let mut vars = VarStore::new(case.device);
    let encoder = ResNet::new(&vars.root(), depth, [3, case.int(&["config", "size"])?], &config);
    set_float_kind(&mut vars, kind);
    let images = frame::images(&mut case, "in/x1_u8", kind)?;
    frame::check_forward(case, &mut Network { vars, encoder, images, ends }, precision)
}
