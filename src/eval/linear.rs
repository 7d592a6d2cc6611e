//! The linear probe: a classifier on frozen features of the un-augmented images.

use anyhow::{Result, ensure};
use serde::Serialize;
use shards::ShardSet;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::images;
use crate::{
    config::Config,
    feed::Staged,
    model::{Encoder, heads::LinearHead},
    train::optim::{self, Adam},
};

/// Features of a set's labelled samples.
#[derive(Debug)]
pub struct Features {
    /// (n, width), f32, on the CPU.
    pub values: Tensor,
    /// Classes (n).
    pub labels: Tensor,
}

/// What a probe reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Share of the validation samples whose class comes first.
    pub top1: f64,
    /// The same of the samples that the probe was fitted on.
    pub train_top1: f64,
    /// Validation samples.
    pub samples: i64,
    /// Classes.
    pub classes: u32,
}

/// Runs an encoder in evaluation mode over a set; samples without a label are left out.
pub fn features(encoder: &dyn Encoder, set: &ShardSet, config: &Config, device: Device) -> Result<Features> {
    let (mut values, mut labels, mut bad) = (Vec::new(), Vec::new(), 0);
    let mut feed = images(set, config, device)?;
    for staged in feed.by_ref() {
        let staged = staged?;
        let Staged { views, skipped, .. } = &staged;
        let labelled = views.labels.ge(0).nonzero().view(-1);
        let features = tch::no_grad(|| encoder.features(&views.images.get(0), false));
        values.push(features.index_select(0, &labelled).to_device(Device::Cpu));
        labels.push(views.labels.index_select(0, &labelled).to_device(Device::Cpu));
        bad += skipped.len();
    }
    bad += feed.finish().len();
    if bad > 0 {
        tracing::warn!("{bad} unreadable samples take no part");
    }
    ensure!(!values.is_empty(), "no image of the set could be read");
    let features = Features { values: Tensor::cat(&values, 0), labels: Tensor::cat(&labels, 0) };
    ensure!(
        features.labels.numel() > 0,
        "no sample is labelled\n  hint: a probe needs `cls` members, or `label` in `json` ones"
    );
    Ok(features)
}

/// Fits a linear classifier on standardized training features and judges it on the validation ones.
///
/// Adam, batches of 256, 60 epochs, learning rate 5e-3 falling to zero along a half cosine; deterministic by `seed`.
pub fn fit(train: &Features, validation: &Features, classes: u32, seed: u64) -> Result<Report> {
    const EPOCHS: i64 = 60;
    const BATCH: i64 = 256;
    tch::manual_seed(seed.cast_signed());
    let mean = train.values.mean_dim(0i64, true, Kind::Float);
    let spread = train.values.std_dim(0i64, false, true).clamp_min(1e-6);
    let standardized = |features: &Features| (&features.values - &mean) / &spread;
    let (values, count) = (standardized(train), train.labels.size()[0]);
    let vars = VarStore::new(Device::Cpu);
    let head = LinearHead::new(&vars.root(), values.size()[1], i64::from(classes));
    let mut adam = Adam::new(&vars, &optim::Config { betas: [0.9, 0.999], ..optim::Config::default() });
    for epoch in 0..EPOCHS {
        let order = Tensor::randperm(count, (Kind::Int64, Device::Cpu));
        let lr = 5e-3 * 0.5 * (1.0 + (std::f64::consts::PI * epoch as f64 / EPOCHS as f64).cos());
        for batch in order.split(BATCH, 0) {
            let logits = head.forward(&values.index_select(0, &batch));
            adam.forget_gradients()?;
            let loss = logits.cross_entropy_for_logits(&train.labels.index_select(0, &batch));
            loss.backward();
            let _ = adam.step(lr, &loss)?;
        }
    }
    let top1 = |values: &Tensor, labels: &Tensor| {
        tch::no_grad(|| crate::loss::accuracy(&head.forward(values), labels)).double_value(&[])
    };
    Ok(Report {
        top1: top1(&standardized(validation), &validation.labels),
        train_top1: top1(&values, &train.labels),
        samples: validation.labels.size()[0],
        classes,
    })
}
