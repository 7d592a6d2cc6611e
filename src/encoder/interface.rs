//! The traits of an encoder: its settings, its features, and the embeddings that a method trains it by.

use std::{collections::BTreeMap, fmt::Debug};

use anyhow::Result;
use pipeline::Normalization;
use tch::{Kind, Tensor, nn::Path};
use torchkit::Autocast;

use super::norm::{Mode, Norming};
use crate::settings::Setting;

/// The settings of an encoder: its name, the checks of its size and its constructor.
pub trait EncoderSettings: Debug {
    /// Returns the name of the encoder in settings, `encoder.name`.
    fn name(&self) -> &'static str;

    /// Returns the settings as they appear in a file and on the command line.
    fn settings(&self) -> Vec<Setting>;

    /// Returns the flags of a training run that choose an encoder of this size, such as `--ndf 192 --n-depth
    /// 8`.
    fn flags(&self) -> String;

    /// Returns the flags that change its size, for the hint "choose a smaller model with …".
    fn size_flags(&self) -> &'static str;

    /// Returns the number of channels of the features.
    fn width(&self) -> i64;

    /// Returns the normalization that images need, if it is not that of the preset.
    fn normalization(&self) -> Option<Normalization> {
        None
    }

    /// Checks the sizes against each other, for square images of `side` pixels.
    ///
    /// # Errors
    ///
    /// If no such encoder can be built.
    fn check(&self, side: u32) -> Result<()>;

    /// Returns whether the encoder also takes images of other sides than the one that it is built for. By
    /// default it does not.
    fn takes_other_sides(&self) -> bool {
        false
    }

    /// Returns whether a CPU with instructions for bf16 trains the encoder faster in bf16 than in f32. By
    /// default it does not: with several threads on busy cores, oneDNN's gradients of the weights of
    /// convolutions are many times slower in bf16.
    fn is_faster_in_bf16_on_cpus(&self) -> bool {
        false
    }

    /// Checks that a file with these tensors can hold an encoder of this size. This comes before the encoder
    /// is built, so that a damaged file cannot make the program allocate memory for sizes that it only
    /// claims.
    ///
    /// # Errors
    ///
    /// If a tensor is missing, or if there are fewer numbers than an encoder of this size has.
    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()>;

    /// Builds a freshly initialized encoder for square images of `side` pixels. Its tensors are named under
    /// `path`.
    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder>;
}

/// A network that maps images to features. Evaluation, `embed` and `export` see no more of a model than this.
pub trait Encoder: Debug {
    /// Returns the global output before any head, (n, [`width`](Self::width)), of normalized images (n, 3, h,
    /// w). `mode` says which statistics the batch norms use.
    fn features(&self, images: &Tensor, mode: Mode) -> Tensor;

    /// Returns the parameters that the features do not depend on, such as those of norms that are switched off. By default
    /// there are none.
    fn idle(&self) -> Vec<&Tensor> {
        vec![]
    }

    /// Returns the number of blocks that compute the features one after the other, for training that keeps
    /// only the inputs of blocks. By default the encoder is one block.
    fn blocks(&self) -> usize {
        1
    }

    /// Returns the output of block `number` for its input `x`: images for block 0, and else the output of the
    /// block before. The last block returns the features.
    fn block(&self, _number: usize, x: &Tensor, mode: Mode) -> Tensor {
        self.features(x, mode)
    }

    /// Returns the number of elements of the largest activation of one image, its pixels included.
    fn elements(&self) -> i64;

    /// Returns the number of channels of the features.
    fn width(&self) -> i64;

    /// Returns the names of the representations that [`pooled`](Self::pooled) gives, that of the features
    /// first.
    fn layers(&self) -> &'static [&'static str];

    /// Returns the representation (n, channels) called `layer`, the mean over its locations, in evaluation
    /// mode.
    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor;

    /// Returns the number of multiply-accumulates of the convolutions and linear layers for the features of
    /// one image.
    fn macs(&self) -> u64;

    /// Returns [`elements`](Self::elements) and [`macs`](Self::macs) for an image of another `side`. An encoder
    /// that takes such images ([`EncoderSettings::takes_other_sides`]) replaces the default, which is that of
    /// its own side.
    fn cost_at(&self, _side: i64) -> (i64, u64) {
        (self.elements(), self.macs())
    }
}

/// A network that maps views to the embeddings that a method's loss compares: an encoder with its heads.
///
/// Only [`embed`](Self::embed) is required. The default of the other two treats the whole network as one
/// block: its input is kept and the network is computed a second time in the backward pass. Nothing may be
/// drawn at random during `embed`, or the second computation would differ from the first.
pub trait Embedder {
    /// Returns embeddings in training mode of views (v, n, 3, side, side): tensors of shape (v, n, …). `norming`
    /// says which samples batch norms normalize together, and the network whether that is within each view or
    /// over all views.
    fn embed(&self, views: &Tensor, norming: Norming) -> Vec<Tensor>;

    /// Returns the embeddings of [`embed`](Self::embed) without an update of running statistics, and the
    /// inputs of all blocks for [`backward_by_block`](Self::backward_by_block).
    fn embed_by_block(&self, views: &Tensor, norming: Norming) -> (Vec<Tensor>, Vec<Tensor>) {
        (self.embed(views, norming.kept()), vec![views.shallow_clone()])
    }

    /// Backpropagates `gradients` of the embeddings, (v, n, …) each, into the parameters, and updates running
    /// statistics as `norming` says. The activations inside of a block are computed a second time from its input, one block at
    /// a time (Chen et al. 2016, "Training deep nets with sublinear memory cost").
    ///
    /// `scope` makes the autocast scope that is held while activations are computed.
    ///
    /// # Errors
    ///
    /// The errors of `scope`.
    fn backward_by_block(
        &self,
        inputs: Vec<Tensor>,
        _views: i64,
        gradients: &[Tensor],
        norming: Norming,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        for input in inputs {
            let embeddings = {
                let _scope = scope()?;
                self.embed(&input, norming)
            };
            let products = embeddings.iter().zip(gradients);
            let total: Tensor =
                products.map(|(x, gradient)| (x * gradient.to_kind(x.kind())).sum(Kind::Float)).sum();
            total.backward();
        }
        Ok(())
    }
}
