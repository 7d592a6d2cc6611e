//! The tags under which TensorBoard shows the numbers of records.

use crate::{
    config::Config,
    metrics::{Number, Record, TrainRecord, ValidationRecord},
    report::parts,
};

/// The tag of the settings, a text.
pub const CONFIG: &str = "config";

/// The tag of samples with their views, an image.
pub const VIEWS: &str = "views";

/// A number of a record of kind `T`.
#[derive(Debug)]
pub struct Tag<T> {
    /// The tag.
    pub tag: &'static str,
    /// The field of the record.
    pub field: &'static str,
    /// Returns the number.
    pub number: fn(&T) -> Number,
}

const fn tag<T>(field: &'static str, tag: &'static str, number: fn(&T) -> Number) -> Tag<T> {
    Tag { tag, field, number }
}

/// The numbers of records of training, besides the parts of the loss.
pub const TRAIN: &[Tag<TrainRecord>] = &[
    tag("loss", "loss/total", |record| record.loss),
    tag("chance", "chance/total", |record| record.chance),
    tag("linear", "probe/linear", |record| record.probe.linear),
    tag("mlp", "probe/mlp", |record| record.probe.mlp),
    tag("linear_loss", "probe/linear_loss", |record| record.probe.linear_loss),
    tag("mlp_loss", "probe/mlp_loss", |record| record.probe.mlp_loss),
    tag("lr", "lr", |record| record.lr),
    tag("epoch", "epoch", |record| record.epoch),
    tag("images_per_second", "rate/images_per_s", |record| record.images_per_second),
    tag("step_ms", "time/step_ms", |record| record.step_ms),
    tag("data_wait", "time/data_wait", |record| record.data_wait),
    tag("bound_share", "time/bound_share", |record| record.bound_share),
    tag("read_us", "time/read_us", |record| record.loading.read_us),
    tag("decode_us", "time/decode_us", |record| record.loading.decode_us),
    tag("augment_us", "time/augment_us", |record| record.loading.augment_us),
    tag("batch_us", "time/batch_us", |record| record.loading.batch_us),
    tag("remote_bytes", "remote/bytes", |record| record.remote.remote_bytes),
    tag("remote_requests", "remote/requests", |record| record.remote.remote_requests),
    tag("remote_retries", "remote/retries", |record| record.remote.remote_retries),
    tag("remote_hits", "remote/hits", |record| record.remote.remote_hits),
    tag("remote_misses", "remote/misses", |record| record.remote.remote_misses),
    tag("remote_wait", "remote/wait_s", |record| record.remote.remote_wait),
    tag("copy_ms", "time/copy_ms", |record| record.device.copy_ms),
    tag("bad_samples", "data/bad_samples", |record| record.bad_samples),
    tag("tensor_memory_peak", "device/tensor_memory_peak", |record| record.device.tensor_memory_peak),
    tag("gpu_utilization", "device/gpu_utilization", |record| record.device.gpu_utilization),
    tag("gpu_memory", "device/gpu_memory", |record| record.device.gpu_memory),
    tag("processes", "processes/number", |record| record.processes.processes),
    tag("data_ms_min", "processes/data_ms_min", |record| record.processes.data_ms_min),
    tag("data_ms_median", "processes/data_ms_median", |record| record.processes.data_ms_median),
    tag("data_ms_max", "processes/data_ms_max", |record| record.processes.data_ms_max),
    tag("slowest_rank", "processes/slowest_rank", |record| record.processes.slowest_rank),
];

/// The numbers of records of validations.
pub const VALIDATION: &[Tag<ValidationRecord>] = &[
    tag("linear", "validation/linear", |record| record.linear),
    tag("mlp", "validation/mlp", |record| record.mlp),
    tag("epoch", "validation/epoch", |record| record.epoch),
    tag("knn", "knn/20", |record| record.knn),
    tag("rankme", "health/rankme", |record| record.rankme),
    tag("cosine", "health/cosine", |record| record.cosine),
];

/// The parts of methods' losses that are no losses themselves.
pub const MEASURES: &[&str] = &["top1", "z", "z_l", "z_ab"];

/// Returns the tag of a part of the loss.
pub fn of_part(name: &str) -> String {
    let group = if MEASURES.contains(&name) { "method" } else { "loss" };
    format!("{group}/{name}")
}

/// Returns the tag of the scores of a part of the loss, a histogram.
pub fn of_scores(name: &str) -> String {
    format!("scores/{name}")
}

/// Returns the tag of the chance level of a part of the loss.
pub fn of_chance(name: &str) -> String {
    format!("chance/{name}")
}

/// Returns the numbers of a record that were measured and are finite, with their tags. With the settings of the run,
/// these include the chance levels of the parts of the loss.
pub fn of(record: &Record, config: Option<&Config>) -> Vec<(String, f64)> {
    fn measured<T>(tags: &[Tag<T>], record: &T) -> Vec<(String, f64)> {
        let number = |Tag { tag, number, .. }: &Tag<T>| Some(((*tag).to_owned(), number(record)?));
        tags.iter().filter_map(number).collect()
    }
    let mut numbers = match record {
        Record::Train(train) => {
            let parts = train.parts.iter().map(|(name, number)| (of_part(name), *number));
            let chances = config.map(|config| parts::chances(config, train)).unwrap_or_default();
            let chances = chances.into_iter().map(|(name, chance)| (of_chance(name), chance));
            measured(TRAIN, train).into_iter().chain(parts).chain(chances).collect()
        }
        Record::Validation(validation) => measured(VALIDATION, validation),
    };
    numbers.retain(|(_, number)| number.is_finite());
    numbers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::metrics::{
        Bottleneck, DeviceNumbers, LoadingCosts, ProbeNumbers, ProcessNumbers, RemoteNumbers,
    };

    /// Returns a record with a different number in every field. Every field is named, so that the compiler asks for
    /// new ones.
    fn train() -> TrainRecord {
        let mut last = 0.0;
        let mut next = || {
            last += 1.0;
            Some(last)
        };
        TrainRecord {
            step: 7,
            epoch: next(),
            loss: next(),
            chance: next(),
            lr: next(),
            images_per_second: next(),
            step_ms: next(),
            data_wait: next(),
            bound: Some(Bottleneck::Copy),
            bound_share: next(),
            cure: Some("--workers".to_owned()),
            bad_samples: next(),
            probe: ProbeNumbers { linear: next(), mlp: next(), linear_loss: next(), mlp_loss: next() },
            loading: LoadingCosts {
                read_us: next(),
                decode_us: next(),
                augment_us: next(),
                batch_us: next(),
            },
            remote: RemoteNumbers {
                remote_bytes: next(),
                remote_requests: next(),
                remote_retries: next(),
                remote_hits: next(),
                remote_misses: next(),
                remote_wait: next(),
            },
            device: DeviceNumbers {
                copy_ms: next(),
                tensor_memory_peak: next(),
                gpu_utilization: next(),
                gpu_memory: next(),
            },
            processes: ProcessNumbers {
                processes: next(),
                data_ms_min: next(),
                data_ms_median: next(),
                data_ms_max: next(),
                slowest_rank: next(),
            },
            parts: [("1t5".to_owned(), 0.25), ("top1".to_owned(), 0.5)].into(),
        }
    }

    fn validation() -> ValidationRecord {
        let [epoch, linear, mlp, knn, rankme, cosine] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(Some);
        ValidationRecord { step: 7, epoch, linear, mlp, knn, rankme, cosine }
    }

    /// Compares the numbers of a record in `metrics.jsonl` with those under tags.
    fn compare(record: &Record, fields: impl Fn(&str) -> String) {
        let written = json!(record);
        let numbers = written.as_object().unwrap().iter().filter(|(name, _)| *name != "step");
        let numbers = numbers.filter_map(|(name, value)| value.as_f64().map(|value| (fields(name), value)));
        let expected: BTreeSet<_> = numbers.map(|number| json!(number).to_string()).collect();
        let found: BTreeSet<_> = of(record, None).iter().map(|number| json!(number).to_string()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_number_of_a_record_has_its_tag() {
        fn tag_of<T>(tags: &[Tag<T>], name: &str) -> Option<String> {
            tags.iter().find(|tag| tag.field == name).map(|tag| tag.tag.to_owned())
        }
        compare(&Record::Train(Box::new(train())), |name| {
            tag_of(TRAIN, name).unwrap_or_else(|| of_part(name))
        });
        compare(&Record::Validation(validation()), |name| tag_of(VALIDATION, name).unwrap());
    }

    #[test]
    fn no_two_numbers_share_a_tag() {
        let tags = TRAIN.iter().map(|tag| tag.tag).chain(VALIDATION.iter().map(|tag| tag.tag));
        let all: Vec<_> = tags.collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!([of_part("1t5"), of_part("z_ab")], ["loss/1t5", "method/z_ab"]);
    }

    #[test]
    fn numbers_that_are_not_finite_are_left_out() {
        let train = TrainRecord { loss: Some(f64::NAN), lr: Some(0.5), ..TrainRecord::default() };
        assert_eq!(of(&Record::Train(Box::new(train)), None), [("lr".to_owned(), 0.5)]);
        assert!(matches!(json!(f64::NAN), Value::Null));
    }
}
