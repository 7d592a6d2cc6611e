//! The size of a batch, and what limits it.

use anyhow::Result;
use shards::Division;
use tch::Device;

use crate::{
    config::{Config, TrainConfig},
    method::Method,
    usage,
};

/// Returns the batch size that is set, or else one that suits the device, is no larger than the number of
/// samples, and takes the same number of samples of each partition.
///
/// # Errors
///
/// If the batch size that is set exceeds the number of samples, or if there are fewer than two samples.
pub(crate) fn batch_size(config: &Config, device: Device, samples: u64) -> Result<usize> {
    let published = config.method.chosen().defaults(config.preset).batch_size;
    let wanted = config.train.batch_size.unwrap_or(match device {
        Device::Cpu if config.side() >= 128 => published.min(32),
        Device::Cpu => published.min(64),
        _ => published,
    });
    let partitions = config.data.partitions;
    if (partitions * config.train.accumulate) as u64 > samples {
        return Err(usage!(
            "the shards have {samples} samples, fewer than partitions times parts of a batch ({partitions} · {})",
            config.train.accumulate;
            "set --partitions or --accumulate to less, or name more shards"
        ));
    }
    let unit = if partitions == 1 { 1 } else { partitions * config.train.accumulate };
    let default = |most: usize| (most / unit).max(1) * unit;
    if wanted as u64 <= samples {
        return Ok(config.train.batch_size.unwrap_or_else(|| default(wanted)));
    }
    if samples < 2 {
        return Err(usage!(
            "the shards have {samples} sample, but negatives come from other images";
            "name shards with at least 2 samples"
        ));
    }
    if config.train.batch_size.is_some() {
        return Err(usage!(
            "a batch of {wanted} needs as many samples, but the shards have {samples}";
            "set --batch-size {samples}, or name more shards"
        ));
    }
    Ok(default(samples as usize))
}

/// Checks that a batch has the same number of samples of each of `partitions`, for each part and process.
///
/// # Errors
///
/// If the numbers do not divide, with the nearest ones that do.
pub(crate) fn check_division(division: Division, partitions: usize) -> Result<()> {
    division.check(partitions).map_err(|error| match error {
        shards::Error::Batch { smaller: Some(smaller), larger, .. } => {
            usage!("{error}"; "set --batch-size to {smaller} or {larger}")
        }
        shards::Error::Batch { larger, .. } => usage!("{error}"; "set --batch-size to {larger}"),
        shards::Error::Ranks { .. } => {
            usage!("{error}"; "start as many processes as that, or begin a new run (--out) with other --partitions")
        }
        error => error.into(),
    })
}

/// Checks that each part of a batch has at least two samples, as batch norms require.
///
/// # Errors
///
/// If there are too many parts.
pub(crate) fn check_parts(batch_size: usize, parts: usize) -> Result<()> {
    if batch_size >= 2 * parts {
        return Ok(());
    }
    Err(usage!(
        "a batch of {batch_size} cannot be divided into {parts} parts of at least two samples";
        "set --accumulate to {} or less", batch_size / 2
    ))
}

/// Returns the number of groups of a batch of `samples` samples that batch norms normalize separately: the one that is
/// set, or for each part at most that of the method.
pub(crate) fn norm_groups(train: &TrainConfig, method: &dyn Method, samples: i64) -> i64 {
    let parts = train.accumulate as i64;
    let default = || {
        let most = method.norm_groups(samples / parts);
        // Without a number that divides the batch, each part is one group.
        parts * (2..=most).rev().find(|groups| samples % (parts * groups) == 0).unwrap_or(1)
    };
    train.bn_groups.unwrap_or_else(default)
}

/// Checks that batch norms can normalize so many groups of a batch separately: a group is a part of the batch, which
/// all processes normalize together, or lies on one process.
///
/// # Errors
///
/// If the samples or the processes cannot be divided so.
pub(crate) fn check_norm_groups(
    processes: usize,
    groups: i64,
    batch_size: usize,
    parts: usize,
) -> Result<()> {
    let (batch_size, parts, cells) = (batch_size as i64, parts as i64, (parts * processes) as i64);
    let is_possible = |groups: i64| {
        let is_local = groups % cells == 0 && batch_size % groups == 0 && batch_size >= 2 * groups;
        groups == parts || is_local
    };
    if is_possible(groups) {
        return Ok(());
    }
    let possible: Vec<_> = (1..=batch_size).filter(|&groups| is_possible(groups)).take(8).collect();
    let possible = possible.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(usage!(
        "batch norms cannot normalize {groups} groups of a batch of {batch_size} separately, with parts: {parts} (--accumulate), \
         processes: {}", processes;
        "set --bn-groups to one of {possible}, or change --batch-size"
    ))
}

/// Returns the largest batch of so many processes together that CUDA can index, as a function of the number of parts.
pub(crate) fn largest(method: &dyn Method, processes: usize) -> impl Fn(usize) -> usize {
    move |parts| processes * method.largest_batch(parts as i64, processes as i64) as usize
}

/// Refuses a batch with tensors that CUDA cannot index; `largest` returns the largest batch for a number of
/// parts.
///
/// # Errors
///
/// If the device is CUDA and the batch is larger.
pub(crate) fn check_indices(
    batch_size: usize,
    parts: usize,
    device: Device,
    largest: impl Fn(usize) -> usize,
) -> Result<()> {
    let most = largest(parts);
    if !device.is_cuda() || batch_size <= most {
        return Ok(());
    }
    let enough = (parts + 1..=batch_size / 2).find(|&parts| largest(parts) >= batch_size);
    let in_parts = enough.map_or(String::new(), |parts| format!(", or --accumulate {parts}"));
    Err(usage!(
        "a batch of {batch_size} makes a tensor of more than 2^31 - 1 elements, which CUDA's kernels cannot index: a batch \
         of this model has {most} samples at most";
        "set --batch-size {most}{in_parts}"
    ))
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;
    use crate::{
        encoder, hint,
        method::{MethodConfig, TrainingSet},
    };

    /// Builds a method with heads of few units: the published size has 200 million weights.
    fn method(ndf: i64) -> Box<dyn Method> {
        let encoder = encoder::amdim::Config { ndf, n_rkhs: 64, n_depth: 1, use_bn: false };
        MethodConfig::default()
            .chosen()
            .build(
                &VarStore::new(Device::Cpu).root(),
                TrainingSet { side: 128, views: vec![128; 2], samples: 0, seed: 0 },
                &encoder.into(),
            )
            .unwrap()
    }

    #[test]
    fn groups_of_batch_norms_are_parts_or_lie_on_one_process_each() {
        let check = |groups, parts, size| check_norm_groups(size, groups, 16, parts);
        for (groups, parts, size) in [(1, 1, 1), (4, 1, 1), (2, 2, 4), (4, 2, 2), (8, 1, 4), (3, 3, 1)] {
            check(groups, parts, size).unwrap_or_else(|error| panic!("{groups} {parts} {size}: {error}"));
        }
        for (groups, parts, size) in [(3, 1, 1), (16, 1, 1), (2, 1, 4), (1, 2, 1), (6, 2, 2)] {
            assert!(check(groups, parts, size).is_err(), "{groups} {parts} {size}");
        }
        let error = hint::render(&check(3, 1, 2).unwrap_err());
        assert!(
            error.contains("processes: 2") && error.contains("set --bn-groups to one of 1, 2, 4, 8,"),
            "{error}"
        );
    }

    /// `MoCo` would have 15 groups in three parts of 512 samples.
    #[test]
    fn groups_that_are_not_set_divide_the_batch() {
        let _alone = crate::testing::lock_generator();
        let config =
            Config::resolve(&"preset = 'c10'\nmethod.name = 'moco'\nencoder.width = 1".parse().unwrap());
        let config = config.unwrap();
        let method = config.method.chosen();
        let set = TrainingSet { side: 32, views: vec![32; 2], samples: 600, seed: 0 };
        let method = method.build(&VarStore::new(Device::Cpu).root(), set, &config.encoder).unwrap();
        let groups = |accumulate, samples| {
            norm_groups(&TrainConfig { accumulate, ..TrainConfig::default() }, method.as_ref(), samples)
        };
        assert_eq!([groups(1, 512), groups(2, 512), groups(3, 512), groups(3, 510)], [8, 16, 3, 15]);
    }

    #[test]
    fn a_batch_that_partitions_cannot_share_is_refused_with_sizes_that_they_can() {
        let refused = |division, partitions| hint::render(&check_division(division, partitions).unwrap_err());
        let of_one = |batch, parts| Division { batch, parts, ..Division::default() };
        check_division(of_one(64, 2), 4).unwrap();
        check_division(of_one(7, 2), 1).unwrap();
        let error = refused(of_one(30, 2), 4);
        assert!(
            error.contains("a batch of 30 cannot be divided equally among 2 parts and 4 partitions"),
            "{error}"
        );
        assert!(error.contains("hint: set --batch-size to 24 or 32"), "{error}");
        let error = refused(of_one(6, 2), 4);
        assert!(error.contains("hint: set --batch-size to 8"), "{error}");
        let error = refused(Division { ranks: 3, ..of_one(12, 1) }, 2);
        assert!(error.contains("but 2 or 4 can") && error.contains("--partitions"), "{error}");
    }

    #[test]
    fn the_default_batch_takes_the_same_number_of_samples_of_each_partition() {
        let mut config = Config::preset(pipeline::Preset::C10);
        assert_eq!(batch_size(&config, Device::Cpu, 1_000).unwrap(), 64);
        assert_eq!(batch_size(&config, Device::Cpu, 50).unwrap(), 50);
        (config.data.partitions, config.train.accumulate) = (6, 2);
        assert_eq!(batch_size(&config, Device::Cpu, 1_000).unwrap(), 60);
        assert_eq!(batch_size(&config, Device::Cpu, 50).unwrap(), 48);
    }

    #[test]
    fn a_batch_that_cuda_cannot_index_is_refused_with_the_largest_one() {
        let _alone = crate::testing::lock_generator();
        // The stem makes 2 · 64 · 64 · 48 elements for a sample; beyond a certain n, the n² · 49 scores are
        // too many.
        let method = method(48);
        assert_eq!([1, 2].map(|parts| method.largest_batch(parts, 1)), [5_461, 6_620]);
        // The scores are those of the contexts of all processes.
        assert_eq!([1, 2].map(largest(method.as_ref(), 2)), [2 * 4_681; 2]);
        let wide = |parts: usize| parts * (i32::MAX as usize / (2 * 64 * 64 * 192));
        let cuda = Device::Cuda(0);
        check_indices(1_365, 1, cuda, wide).unwrap();
        check_indices(1_366, 1, Device::Cpu, wide).unwrap();
        let error = hint::render(&check_indices(1_366, 1, cuda, wide).unwrap_err());
        assert!(error.contains("1365 samples at most"), "{error}");
        assert!(error.contains("hint: set --batch-size 1365, or --accumulate 2"), "{error}");
        check_indices(2_700, 2, cuda, wide).unwrap();
    }
}
