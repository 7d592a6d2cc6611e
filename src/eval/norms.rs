//! Running statistics of an encoder's batch norms.

use anyhow::Result;
use shards::{Division, Order, Position, ShardSet, Shuffle};
use tch::{Device, Kind};

use super::samples::evenly;
use crate::{
    config::Config,
    data,
    encoder::{Encoder, Mode},
    feed::Feed,
};

/// The most training images over which the statistics of an untrained encoder are averaged.
const IMAGES: u64 = 10_000;

/// The samples in a batch of those images.
const BATCH: u64 = 100;

/// Sets the running statistics of an encoder's norms to their mean over batches of un-augmented training
/// images in training mode. A freshly initialized encoder has 0 and 1 instead. Returns the number of images.
pub(super) fn settle(encoder: &dyn Encoder, set: &ShardSet, config: &Config, device: Device) -> Result<u64> {
    let set = evenly(set, IMAGES);
    let batch_size = BATCH.min(set.len());
    if batch_size < 2 {
        return Ok(0); // one sample has no variance
    }
    // Neighbours in a set often have the same class, and a batch should contain all classes.
    let order = Order { seed: config.seed, shuffle: Shuffle::Global, epochs: Some(1), ..Order::default() };
    let mut number = 0;
    for batch in whole_batches(&set, order, batch_size as usize, config, device)?.by_ref() {
        number += 1;
        let batch = batch?; // it keeps the memory of its images
        let images = batch.views.images().get(0);
        let _ = tch::no_grad(|| encoder.features(&images, Mode::Settling { number }));
    }
    Ok(number.cast_unsigned() * batch_size)
}

/// Returns un-augmented images in batches of this size. A smaller rest at the end of an epoch is dropped.
pub(super) fn whole_batches(
    set: &ShardSet,
    order: Order,
    batch: usize,
    config: &Config,
    device: Device,
) -> Result<Feed> {
    let samples = set.samples(order, Division::default(), Position::default());
    let loader = pipeline::LoaderConfig { drop_last: true, ..data::loader(config, batch) };
    Feed::spawn(samples, config.evaluation(), (config.normalization(), Kind::Float), &loader, device)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use tch::{Kind, Tensor};

    use super::*;
    use crate::eval::{features::Features, tiny};

    /// Returns the largest distances of a channel's mean from 0 and of its deviation from 1 over a set, in
    /// evaluation mode.
    fn off(encoder: &dyn Encoder, set: &ShardSet, config: &Config) -> [f64; 2] {
        let features = Features::compute(encoder, "", set, config, Device::Cpu, None).unwrap();
        let ndf = config.encoder.amdim().unwrap().ndf;
        // Residual branches begin at 0 and skips append zeros, so only the first channels vary.
        let features = features.rows(0, features.len()).unwrap().narrow(1, 0, ndf);
        let dims = Some([0i64].as_slice());
        let mean = features.mean_dim(dims, false, Kind::Float).abs().max().double_value(&[]);
        let deviation = features.std_dim(dims, true, false);
        [mean, (deviation - 1.0).abs().max().double_value(&[])]
    }

    #[test]
    fn the_features_of_an_untrained_encoder_have_mean_0_and_deviation_1_once_its_norms_are_settled() {
        let _alone = crate::testing::lock_generator();
        let (_folder, set) = tiny::set(24);
        let (config, network) = tiny::encoder();
        let before = off(network.encoder(), &set, &config);
        assert!(before[1] > 0.5, "freshly initialized: {before:?}");
        assert_eq!(settle(network.encoder(), &set, &config, Device::Cpu).unwrap(), 24);
        let after = off(network.encoder(), &set, &config);
        // The deviation is below 1 where a channel varies so little that the norm's epsilon matters.
        assert!(after[0] < 1e-3 && after[1] < 0.05, "{after:?}");
        // The previous statistics have no influence.
        settle(network.encoder(), &set, &config, Device::Cpu).unwrap();
        let again = off(network.encoder(), &set, &config);
        assert!((again[0] - after[0]).abs() < 1e-6 && (again[1] - after[1]).abs() < 1e-6);
    }

    #[test]
    fn every_batch_has_the_same_weight() {
        let _alone = crate::testing::lock_generator();
        let (config, network) = tiny::encoder();
        let (_folder, set) = tiny::set(12);
        let order = Order { seed: 0, shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
        let feed = whole_batches(&set, order, 5, &config, Device::Cpu).unwrap();
        let batches: Vec<_> = feed.map(|batch| batch.unwrap().views.images().get(0).copy()).collect();
        assert_eq!(batches.len(), 2, "two samples are left over");
        for (batch, number) in batches.iter().zip(1..) {
            let _ = tch::no_grad(|| network.encoder().features(batch, Mode::Settling { number }));
        }
        let (name, mean) = network
            .tensors()
            .into_iter()
            .rfind(|(name, _)| name.contains("layer_list.8.bn.running_mean"))
            .unwrap();
        // The last norm is the only one that the features depend on.
        let alone = |batch: &Tensor| {
            let _ = tch::no_grad(|| network.encoder().features(batch, Mode::Settling { number: 1 }));
            network.tensors()[&name].copy()
        };
        let settled = mean.copy();
        let expected = (alone(&batches[0]) + alone(&batches[1])) / 2.0;
        assert!((settled - expected).abs().max().double_value(&[]) < 1e-5);
    }

    /// An encoder that begins late, so that the feed has time to overwrite a batch that was dropped.
    #[derive(Debug)]
    struct Late<'a>(&'a dyn Encoder);

    impl Encoder for Late<'_> {
        fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
            thread::sleep(Duration::from_millis(30));
            self.0.features(images, mode)
        }

        fn elements(&self) -> i64 {
            self.0.elements()
        }

        fn width(&self) -> i64 {
            self.0.width()
        }

        fn layers(&self) -> &'static [&'static str] {
            self.0.layers()
        }

        fn pooled(&self, images: &Tensor, layer: &str) -> Tensor {
            self.0.pooled(images, layer)
        }

        fn macs(&self) -> u64 {
            self.0.macs()
        }
    }

    #[test]
    fn batches_are_held_while_the_encoder_computes_on_them() {
        let _alone = crate::testing::lock_generator();
        let (config, network) = tiny::encoder();
        let (_folder, set) = tiny::set(1200);
        let statistics = || {
            let named = network.tensors().into_iter().filter(|(name, _)| name.contains("running"));
            named.map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>()
        };
        assert_eq!(settle(&Late(network.encoder()), &set, &config, Device::Cpu).unwrap(), 1200);
        let settled = statistics();
        let order =
            Order { seed: config.seed, shuffle: Shuffle::Global, epochs: Some(1), ..Order::default() };
        let feed = whole_batches(&set, order, BATCH as usize, &config, Device::Cpu).unwrap();
        for (batch, number) in feed.zip(1..) {
            let copied = batch.unwrap().views.images().get(0).copy();
            let _ = tch::no_grad(|| network.encoder().features(&copied, Mode::Settling { number }));
        }
        assert!(settled.iter().zip(statistics()).all(|(settled, expected)| settled.equal(&expected)));
    }
}
