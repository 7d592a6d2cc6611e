//! Running statistics of an encoder's batch norms.

use anyhow::Result;
use shards::{Order, Position, ShardSet, Share, Shuffle};
use tch::Device;

use super::samples::evenly;
use crate::{
    config::Config,
    data,
    encoder::{Encoder, Mode},
    feed::Feed,
};

/// Training images over which the statistics of an encoder that was never trained are averaged, if there are so many.
const IMAGES: u64 = 10_000;

/// Samples in a batch of them.
const BATCH: u64 = 100;

/// Gives an encoder the running statistics that it has on training images: averaged over un-augmented ones in training mode, each
/// batch as much as any other. A freshly initialized one has 0 and 1 instead, which say nothing of it. Gives the number of images.
pub(super) fn settle(encoder: &dyn Encoder, set: &ShardSet, config: &Config, device: Device) -> Result<u64> {
    let set = evenly(set, IMAGES);
    let batch = BATCH.min(set.len());
    if batch < 2 {
        return Ok(0); // one sample has no variance
    }
    // Neighbours of a set are often of one class: a batch is to be of all.
    let order = Order { seed: config.seed, shuffle: Shuffle::Global, epochs: Some(1) };
    let mut number = 0;
    for staged in whole_batches(&set, order, batch as usize, config, device)?.by_ref() {
        number += 1;
        let images = staged?.views.images.get(0);
        let _ = tch::no_grad(|| encoder.features(&images, Mode::Settling { number }));
    }
    Ok(number.cast_unsigned() * batch)
}

/// Un-augmented images in batches of this size; what is left at the end of an epoch makes none.
pub(super) fn whole_batches(
    set: &ShardSet,
    order: Order,
    batch: usize,
    config: &Config,
    device: Device,
) -> Result<Feed> {
    let samples = set.samples(order, Share::default(), Position::default());
    let loader = pipeline::LoaderConfig { drop_last: true, ..data::loader(config, batch) };
    Feed::spawn(samples, config.preset.evaluation(), config.preset.normalization(), &loader, device)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::eval::{features::Features, tiny};

    /// Mean and deviation of each channel over a set, in evaluation mode, as their largest distances from 0 and 1.
    fn off(encoder: &dyn Encoder, set: &ShardSet, config: &Config) -> [f64; 2] {
        let features = Features::compute(encoder, "", set, config, Device::Cpu, None).unwrap();
        let ndf = config.encoder.amdim().unwrap().ndf;
        // Residual branches begin at 0 and skips append zeros: the first channels alone say anything yet.
        let features = features.rows(0, features.len()).unwrap().narrow(1, 0, ndf);
        let dims = Some([0i64].as_slice());
        let mean = features.mean_dim(dims, false, Kind::Float).abs().max().double_value(&[]);
        let deviation = features.std_dim(dims, true, false);
        [mean, (deviation - 1.0).abs().max().double_value(&[])]
    }

    #[test]
    fn an_encoder_that_was_never_trained_has_features_of_mean_0_and_deviation_1_once_it_is_settled() {
        let _alone = crate::generator();
        let (_folder, set) = tiny::set(24);
        let (config, network) = tiny::encoder();
        let before = off(network.encoder(), &set, &config);
        assert!(before[1] > 0.5, "as it is initialized: {before:?}");
        assert_eq!(settle(network.encoder(), &set, &config, Device::Cpu).unwrap(), 24);
        let after = off(network.encoder(), &set, &config);
        // Not quite 1 where a channel varies so little that the norm's epsilon counts.
        assert!(after[0] < 1e-3 && after[1] < 0.05, "{after:?}");
        // Again: what was there before does not count.
        settle(network.encoder(), &set, &config, Device::Cpu).unwrap();
        let again = off(network.encoder(), &set, &config);
        assert!((again[0] - after[0]).abs() < 1e-6 && (again[1] - after[1]).abs() < 1e-6);
    }

    #[test]
    fn of_several_batches_each_counts_as_much() {
        let _alone = crate::generator();
        let (config, network) = tiny::encoder();
        let (_folder, set) = tiny::set(12);
        let order = Order { seed: 0, shuffle: Shuffle::None, epochs: Some(1) };
        let feed = whole_batches(&set, order, 5, &config, Device::Cpu).unwrap();
        let batches: Vec<_> = feed.map(|staged| staged.unwrap().views.images.get(0).copy()).collect();
        assert_eq!(batches.len(), 2, "two samples are left over");
        for (batch, number) in batches.iter().zip(1..) {
            let _ = tch::no_grad(|| network.encoder().features(batch, Mode::Settling { number }));
        }
        let (name, mean) = network
            .tensors()
            .into_iter()
            .rfind(|(name, _)| name.contains("layer_list.8.bn.running_mean"))
            .unwrap();
        // What goes into the last norm, which is the only one on the way to the features, from what comes out of it.
        let alone = |batch: &tch::Tensor| {
            let _ = tch::no_grad(|| network.encoder().features(batch, Mode::Settling { number: 1 }));
            network.tensors()[&name].copy()
        };
        let settled = mean.copy();
        let expected = (alone(&batches[0]) + alone(&batches[1])) / 2.0;
        assert!((settled - expected).abs().max().double_value(&[]) < 1e-5);
    }
}
