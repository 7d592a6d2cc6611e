//! The settings of `MoCo`, its head, its groups and its views.

use pipeline::{Filter, Op, Preset};
use tch::nn::Path;

use super::groups::{GroupRule, Groups};
use crate::{
    encoder::{Encoder, Moves, NormBatch, Projected, Projection},
    numbers,
    settings::{Heading, choice, real, settings, whole, yes_or_no},
};

settings! {
    /// Settings of the head, the queue, the key encoder and the views. The defaults are those of version 2
    /// for ImageNet.
    pub struct Config {
        /// Version 2: its views and a head of two linear layers; false for the views of version 1 and one
        /// layer.
        mlp: bool = true, yes_or_no().flag(Heading::Moco, "BOOL").default("true; with c10 false");
        /// Channels of queries and keys.
        dim: i64 = 128, whole(numbers::EMBEDDING).flag(Heading::Moco, "N");
        /// Keys in the queue.
        queue: i64 = 65536, whole(numbers::QUEUE).flag(Heading::Moco, "N").default("65536; with stl10 16384, with c10 4096");
        /// Momentum of the key encoder.
        key_momentum: f64 = 0.999, real(numbers::DECAY).flag(Heading::Moco, "X").default("0.999; with c10 0.99");
        /// Temperature that the scores are divided by.
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f64> = None, real(numbers::TEMPERATURE).flag(Heading::Moco, "X").default("0.2; with --mlp false 0.07, with c10 0.1");
        /// Queries from both views, each with the key of the other.
        symmetric: bool = false, yes_or_no().flag(Heading::Moco, "BOOL");
        /// Largest number of groups in each part of a batch, as earlier versions wrote it; `train.bn_groups` replaces it.
        #[serde(skip_serializing_if = "Option::is_none")]
        bn_groups: Option<i64> = None, whole(numbers::GROUPS);
        /// Samples of a group (--bn-groups): consecutive or interleaved ones.
        bn_group_rule: GroupRule = GroupRule::Consecutive, choice::<GroupRule>().flag(Heading::Moco, "RULE").hide_choices().default("consecutive");
    }
}

impl Config {
    /// Returns the published settings for a preset.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::C10 => Self {
                mlp: false,
                queue: 4096,
                key_momentum: 0.99,
                temperature: Some(0.1),
                ..Self::default()
            },
            Preset::Stl10 => Self { queue: 16384, ..Self::default() },
            _ => Self::default(),
        }
    }

    /// Returns the temperature: the one that is set, or that of the version.
    pub(super) fn temperature(&self) -> f64 {
        self.temperature.unwrap_or(if self.mlp { 0.2 } else { 0.07 })
    }

    /// Returns an encoder with the head on its features. The tensors of the head are named under `path`.
    pub fn network(&self, path: &Path, encoder: Box<dyn Encoder>) -> Projected {
        let width = encoder.width();
        let path = path / "head";
        let head = if self.mlp {
            Projection::mlp(&path, width, self.dim)
        } else {
            Projection::linear(&path, width, self.dim)
        };
        Projected { encoder, head, norm_batch: NormBatch::EachView }
    }

    /// Returns the groups of batch norms.
    pub(super) fn groups(&self) -> Groups {
        Groups { rule: self.bn_group_rule, moves: Moves::ByMean, most: self.bn_groups }
    }

    /// Returns the operations of a view.
    pub(super) fn view(&self, preset: Preset) -> Vec<Op> {
        let crop = |least| Op::ResizedCrop {
            scale: (least, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            filter: Filter::Bilinear,
        };
        let jitter = |p, hue| Op::ColorJitter { p, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue };
        let (gray, flip) = (Op::Grayscale { p: 0.2 }, Op::Flip { p: 0.5 });
        match (preset, self.mlp) {
            (Preset::C10, _) => vec![crop(0.08), flip, jitter(0.8, 0.1), gray],
            (_, false) => vec![crop(0.2), gray, jitter(1.0, 0.4), flip],
            (_, true) => {
                let blur = Op::GaussianBlur { p: 0.5, sigma: (0.1, 2.0) };
                vec![crop(0.2), jitter(0.8, 0.1), gray, blur, flip]
            }
        }
    }
}
