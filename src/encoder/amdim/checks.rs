//! Flags of the encoder, and checks of its size before it is built.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::{Tensor, nn::Path};

use super::{config::Config, network::AmdimEncoder};
use crate::{
    encoder::interface::{Encoder, EncoderSettings},
    settings::Setting,
    usage,
};

impl EncoderSettings for Config {
    fn name(&self) -> &'static str {
        "amdim"
    }

    /// Nearly all of its convolutions are matrix products.
    fn is_faster_in_bf16_on_cpus(&self) -> bool {
        true
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn flags(&self) -> String {
        let Self { ndf, n_rkhs, n_depth, use_bn } = self;
        format!("--ndf {ndf} --n-rkhs {n_rkhs} --n-depth {n_depth} --use-bn {use_bn}")
    }

    fn size_flags(&self) -> &'static str {
        "--ndf, --n-rkhs or --n-depth"
    }

    fn width(&self) -> i64 {
        self.n_rkhs
    }

    /// Requires `n_rkhs` channels for the widest block: the last block pads its input with zero channels up
    /// to `n_rkhs`, so it cannot be narrower than its input.
    fn check(&self, side: u32) -> Result<()> {
        if ![32, 64, 128].contains(&side) {
            return Err(usage!(
                "the encoder amdim takes images of 32, 64 or 128 pixels, not of {side}";
                "choose --preset c10, stl10 or in128 without --side, or another method, such as --method simclr"
            ));
        }
        let widest = self.ndf.saturating_mul(if side == 32 { 4 } else { 8 });
        if self.n_rkhs >= widest {
            return Ok(());
        }
        Err(usage!(
            "`encoder.n_rkhs` is {}, but the last block of ndf {} has {widest} channels and cannot be made narrower",
            self.n_rkhs, self.ndf;
            "set --n-rkhs to {widest} or more, or lower --ndf"
        ))
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let Self { ndf, n_rkhs, n_depth, .. } = *self;
        for (name, size) in
            [("encoder.layer_list.0.conv.weight", ndf), ("encoder.rkhs_block_7.conv2.weight", n_rkhs)]
        {
            let found = tensors.get(name).and_then(|tensor| tensor.size().first().copied());
            let found = found.with_context(|| format!("`{name}` is missing"))?;
            ensure!(found == size, "`{name}` has {found} output channels, but the file declares {size}");
        }
        let has_layer = |layer: i64| {
            let name = format!(".layer_list.{layer}.conv2.weight");
            tensors.keys().any(|tensor| tensor.ends_with(&name))
        };
        ensure!(
            (1..1000).contains(&n_depth) && has_layer(n_depth - 1),
            "the file declares blocks of {n_depth} layers, but has no tensors of that many"
        );
        self.check_count(tensors.values().map(Tensor::numel).sum())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        Box::new(AmdimEncoder::new(path, side, self))
    }
}

impl Config {
    /// Checks that a file of `numbers` numbers can hold an encoder of this size. The bound is lower than the
    /// true count, but grows with the size in the same way.
    fn check_count(&self, numbers: usize) -> Result<()> {
        let Self { ndf, n_rkhs, n_depth, .. } = *self;
        let product = |factors: [i64; 3]| factors.into_iter().fold(1, i64::saturating_mul);
        let least = product([n_rkhs, n_rkhs, 1]).saturating_add(product([ndf, ndf, 16 * n_depth]));
        ensure!(
            i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
            "its {numbers} numbers are too few for an encoder of ndf {ndf}, n_rkhs {n_rkhs} and n_depth {n_depth}"
        );
        Ok(())
    }
}
