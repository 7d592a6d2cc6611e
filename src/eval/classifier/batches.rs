//! Batches of features for a classifier.

use anyhow::Result;
use pipeline::{LoaderConfig, Op};
use shards::{Division, Order, Position, ShardSet};
use tch::{Device, Kind, Tensor};
use torchkit::Precision;

use super::settings::{Fit, Protocol};
use crate::{
    config::Config,
    data,
    encoder::{Encoder, Mode},
    eval::features::Features,
    feed::Feed,
    network,
};

/// The source of a classifier's training features.
pub(in crate::eval) enum Training<'a> {
    /// Features of a new augmented view of each sample in every epoch.
    Views(&'a dyn Encoder, &'a ShardSet, Protocol),
    /// Features of the un-augmented images.
    Features(&'a Features),
}

impl Training<'_> {
    pub(super) fn width(&self) -> i64 {
        match self {
            Self::Views(encoder, ..) => encoder.width(),
            Self::Features(features) => features.width(),
        }
    }

    /// Returns the number of samples.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Views(_, set, _) => set.len(),
            Self::Features(features) => features.len().cast_unsigned(),
        }
    }
}

/// Endless batches of features and labels.
pub(super) enum Batches<'a> {
    Views { encoder: &'a dyn Encoder, feed: Box<Feed>, protocol: Protocol, precision: Precision },
    Features { features: &'a Features, order: Vec<i64>, at: usize, batch: usize, device: Device },
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        training: &Training<'a>,
        fit: &Fit,
        batch: usize,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        Ok(match *training {
            Training::Features(features) => {
                Self::Features { features, order: Vec::new(), at: 0, batch, device }
            }
            Training::Views(encoder, set, protocol) => {
                let feed = augmented(set, fit.seed, batch, config, device)?;
                Self::Views { encoder, feed: Box::new(feed), protocol, precision: config.train.precision }
            }
        })
    }

    /// Returns the features (n, width) and labels (n) of the next batch.
    pub(super) fn next(&mut self) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Views { encoder, feed, protocol, precision } => {
                let batch = feed.next().expect("the samples have no end")?;
                let mode = Mode::training_if(*protocol == Protocol::Reference);
                let features = network::features(*encoder, &batch.views.images().get(0), mode, *precision)?;
                Ok((features, batch.views.labels.copy()))
            }
            Self::Features { features, order, at, batch, device } => {
                if *at + *batch > order.len() {
                    let shuffled = Tensor::randperm(features.len(), (Kind::Int64, Device::Cpu));
                    (*order, *at) = (Vec::try_from(&shuffled)?, 0);
                }
                let numbers = &order[*at..*at + *batch];
                *at += *batch;
                let labels = features.labels.index_select(0, &Tensor::from_slice(numbers));
                Ok((features.gather(numbers)?.to_device(*device), labels.to_device(*device)))
            }
        }
    }
}

/// Returns endless batches of one augmented view of each sample, a new one in every epoch.
pub(in crate::eval) fn augmented(
    set: &ShardSet,
    seed: u64,
    batch_size: usize,
    config: &Config,
    device: Device,
) -> Result<Feed> {
    let order = Order { seed, shuffle: config.data.shuffle, ..Order::default() };
    let samples = set.samples(order, Division::default(), Position::default());
    let mut recipe = config.preset.recipe_of(config.side());
    let views = &mut recipe.groups[0].views;
    views.truncate(1);
    if config.method.amdim().is_none() {
        // Other methods than AMDIM are judged on crops and flips.
        views[0].retain(|op| !matches!(op, Op::ColorJitter { .. } | Op::Grayscale { .. }));
    }
    let loader = LoaderConfig { seed, drop_last: true, ..data::loader(config, batch_size) };
    Feed::spawn(samples, recipe, (config.normalization(), Kind::Float), &loader, device)
}
