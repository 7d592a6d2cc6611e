//! Flags of the encoder, and checks of its size before it is built.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use tch::{Tensor, nn::Path};

use super::{config::Config, network::CpcEncoder};
use crate::{
    encoder::interface::{Encoder, EncoderSettings},
    settings::Setting,
    usage,
};

impl EncoderSettings for Config {
    fn name(&self) -> &'static str {
        "cpc"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn flags(&self) -> String {
        let Self { width, bottleneck, .. } = self;
        let patch = self.patch.map(|patch| format!(" --patch {patch}")).unwrap_or_default();
        format!("--encoder cpc --width {width} --bottleneck {bottleneck}{patch}")
    }

    fn size_flags(&self) -> &'static str {
        "--width"
    }

    fn width(&self) -> i64 {
        self.channels()
    }

    fn check(&self, side: u32) -> Result<()> {
        let patch = self.patch(side);
        if patch % 2 == 0 && patch >= 4 && patch <= i64::from(side) {
            return Ok(());
        }
        Err(usage!(
            "patches of {patch} pixels cannot be cut from images of {side}";
            "set --patch to an even number from 4 to {side}"
        ))
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let first = "encoder.model.Conv1.weight";
        let found = tensors.get(first).with_context(|| format!("`{first}` is missing"))?;
        let (width, channels) = (self.width, found.size().first().copied());
        ensure!(
            channels == Some(width),
            "`{first}` does not have the {width} output channels that the file declares"
        );
        for (stage, blocks) in self.stages.iter().enumerate() {
            let last = format!("encoder.model.layer {stage}.{}.conv1.weight", blocks - 1);
            ensure!(tensors.contains_key(&last), "`{last}` is missing");
        }
        // Every block of the last stage has a 3×3 convolution of 4·width channels.
        let least = [width, width, 144, self.stages[2]].into_iter().fold(1, i64::saturating_mul);
        let numbers: usize = tensors.values().map(Tensor::numel).sum();
        ensure!(
            i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
            "its {numbers} numbers are too few for an encoder of width {width}"
        );
        Ok(())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        Box::new(CpcEncoder::new(path, side, self))
    }
}
