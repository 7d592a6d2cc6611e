//! The records of `metrics.jsonl`. The same type is written and read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A number that may not have been measured. A number that is not finite is not written.
pub type Number = Option<f64>;

/// The numbers of a run at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// The steps since the previous record.
    Train(Box<TrainRecord>),
    /// An evaluation between epochs.
    Validation(ValidationRecord),
}

/// The steps since the previous record. Numbers of steps are means over them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainRecord {
    /// Steps made.
    pub step: u64,
    /// Samples trained on, divided by the size of the set.
    #[serde(skip_serializing_if = "is_absent")]
    pub epoch: Number,
    /// The method's loss, in nats.
    #[serde(skip_serializing_if = "is_absent")]
    pub loss: Number,
    /// The loss at chance level for this batch, in nats.
    #[serde(skip_serializing_if = "is_absent")]
    pub chance: Number,
    /// Learning rate of the last step.
    #[serde(skip_serializing_if = "is_absent")]
    pub lr: Number,
    /// Images a second, without validations and the writing of checkpoints.
    #[serde(skip_serializing_if = "is_absent")]
    pub images_per_second: Number,
    /// Milliseconds of a step.
    #[serde(skip_serializing_if = "is_absent")]
    pub step_ms: Number,
    /// Share of the time that training waited for data, from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub data_wait: Number,
    /// The bottleneck of the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bottleneck>,
    /// Share of the time that shows the bottleneck, from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub bound_share: Number,
    /// The flag that helps most against the bottleneck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// Distinct bad samples and damaged shards so far.
    #[serde(skip_serializing_if = "is_absent")]
    pub bad_samples: Number,
    /// Losses and accuracies of the online probes.
    #[serde(flatten)]
    pub probe: ProbeNumbers,
    /// CPU time of loading a sample.
    #[serde(flatten)]
    pub loading: LoadingCosts,
    /// What was read from servers.
    #[serde(flatten)]
    pub remote: RemoteNumbers,
    /// Numbers of a GPU.
    #[serde(flatten)]
    pub device: DeviceNumbers,
    /// Numbers of all processes, where several train together.
    #[serde(flatten)]
    pub processes: ProcessNumbers,
    /// Parts of the method's loss by name.
    #[serde(flatten, deserialize_with = "numbers")]
    pub parts: BTreeMap<String, f64>,
}

/// Losses and accuracies of the online probes on labelled batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeNumbers {
    /// Top-1 of the linear probe, a share from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub linear: Number,
    /// Top-1 of the MLP, a share from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub mlp: Number,
    /// Loss of the linear probe, in nats.
    #[serde(skip_serializing_if = "is_absent")]
    pub linear_loss: Number,
    /// Loss of the MLP, in nats.
    #[serde(skip_serializing_if = "is_absent")]
    pub mlp_loss: Number,
}

/// CPU microseconds of a sample in each stage of loading, over the process so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadingCosts {
    /// Taking it from its shard.
    #[serde(skip_serializing_if = "is_absent")]
    pub read_us: Number,
    /// Decoding its image.
    #[serde(skip_serializing_if = "is_absent")]
    pub decode_us: Number,
    /// Making its views.
    #[serde(skip_serializing_if = "is_absent")]
    pub augment_us: Number,
    /// Putting them into a batch.
    #[serde(skip_serializing_if = "is_absent")]
    pub batch_us: Number,
}

/// What the leading process has read from servers so far; nothing if its shards are files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RemoteNumbers {
    /// Bytes that servers sent.
    #[serde(skip_serializing_if = "is_absent")]
    pub remote_bytes: Number,
    /// Requests, retries included.
    #[serde(skip_serializing_if = "is_absent")]
    pub remote_requests: Number,
    /// Requests that repeat one that failed.
    #[serde(skip_serializing_if = "is_absent")]
    pub remote_retries: Number,
    /// Parts of shards that were in the cache.
    #[serde(skip_serializing_if = "is_absent")]
    pub remote_hits: Number,
    /// Parts of shards that were fetched.
    #[serde(skip_serializing_if = "is_absent")]
    pub remote_misses: Number,
    /// Seconds that threads have waited for parts, added up.
    #[serde(skip_serializing_if = "is_absent")]
    pub remote_wait: Number,
}

/// Numbers of a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceNumbers {
    /// Milliseconds of copying to the device, for each step.
    #[serde(skip_serializing_if = "is_absent")]
    pub copy_ms: Number,
    /// The most bytes that tensors have taken.
    #[serde(skip_serializing_if = "is_absent")]
    pub tensor_memory_peak: Number,
    /// Share of the time that the device was at work, from 0 to 1, by NVML.
    #[serde(skip_serializing_if = "is_absent")]
    pub gpu_utilization: Number,
    /// Bytes of the device's memory that all processes have taken, by NVML.
    #[serde(skip_serializing_if = "is_absent")]
    pub gpu_memory: Number,
}

/// Numbers of all processes of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessNumbers {
    /// The number of processes.
    #[serde(skip_serializing_if = "is_absent")]
    pub processes: Number,
    /// The least milliseconds of a step that a process has waited for its batch.
    #[serde(skip_serializing_if = "is_absent")]
    pub data_ms_min: Number,
    /// The median over the processes.
    #[serde(skip_serializing_if = "is_absent")]
    pub data_ms_median: Number,
    /// The most milliseconds of a step that a process has waited for its batch.
    #[serde(skip_serializing_if = "is_absent")]
    pub data_ms_max: Number,
    /// The rank of the process that has waited most.
    #[serde(skip_serializing_if = "is_absent")]
    pub slowest_rank: Number,
}

/// The numbers of an evaluation between epochs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// Steps made.
    pub step: u64,
    /// Samples trained on, divided by the size of the set.
    #[serde(skip_serializing_if = "is_absent")]
    pub epoch: Number,
    /// Top-1 of the linear probe on the validation samples, a share from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub linear: Number,
    /// Top-1 of the MLP, a share from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub mlp: Number,
    /// Top-1 of the vote of the nearest training samples, a share from 0 to 1.
    #[serde(skip_serializing_if = "is_absent")]
    pub knn: Number,
    /// Effective rank of the features.
    #[serde(skip_serializing_if = "is_absent")]
    pub rankme: Number,
    /// Mean cosine of two features.
    #[serde(skip_serializing_if = "is_absent")]
    pub cosine: Number,
}

/// The part of a run that the other parts wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bottleneck {
    /// Reading, decoding and augmenting.
    Data,
    /// Copying to the device.
    Copy,
    /// The steps.
    Compute,
}

impl Record {
    /// Steps made.
    pub fn step(&self) -> u64 {
        match self {
            Self::Train(train) => train.step,
            Self::Validation(validation) => validation.step,
        }
    }

    /// Epochs, with their fraction.
    pub fn epoch(&self) -> Number {
        match self {
            Self::Train(train) => train.epoch,
            Self::Validation(validation) => validation.epoch,
        }
    }

    /// Returns the record of training, if it is one.
    pub fn train(&self) -> Option<&TrainRecord> {
        match self {
            Self::Train(train) => Some(train),
            Self::Validation(_) => None,
        }
    }

    /// Returns the record of a validation, if it is one.
    pub fn validation(&self) -> Option<&ValidationRecord> {
        match self {
            Self::Train(_) => None,
            Self::Validation(validation) => Some(validation),
        }
    }
}

/// The name of a number in a record, and the function that returns it.
pub type Named = (&'static str, fn(&ValidationRecord) -> Number);

impl ValidationRecord {
    /// All numbers of a validation.
    pub const NUMBERS: [Named; 5] = [
        ("linear", |record| record.linear),
        ("mlp", |record| record.mlp),
        ("knn", |record| record.knn),
        ("rankme", |record| record.rankme),
        ("cosine", |record| record.cosine),
    ];

    /// Returns the number of this name, if it was measured and is finite.
    pub fn number(&self, name: &str) -> Number {
        let (_, number) = Self::NUMBERS.iter().find(|(other, _)| *other == name)?;
        number(self).filter(|value| value.is_finite())
    }
}

fn is_absent(number: &Number) -> bool {
    !number.is_some_and(f64::is_finite)
}

/// Reads the numbers among the fields that are not declared, and ignores other values.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_but_for_numbers_that_are_not_finite() {
        let train = TrainRecord {
            step: 10,
            loss: Some(1.5),
            chance: Some(f64::NAN),
            bound: Some(Bottleneck::Data),
            parts: [("1t5".to_owned(), 0.5)].into(),
            probe: ProbeNumbers { linear: Some(0.1), ..ProbeNumbers::default() },
            ..TrainRecord::default()
        };
        let written = json!(Record::Train(Box::new(train.clone())));
        let expected =
            json!({"kind": "train", "step": 10, "loss": 1.5, "bound": "data", "linear": 0.1, "1t5": 0.5});
        assert_eq!(written, expected);
        let read: Record = serde_json::from_value(written).unwrap();
        assert_eq!(read, Record::Train(Box::new(TrainRecord { chance: None, ..train })));
    }

    #[test]
    fn unknown_fields_of_other_versions_are_ignored() {
        let line = json!({"kind": "validation", "step": 2, "knn": 0.5, "new": {"a": 1}});
        let read: Record = serde_json::from_value(line).unwrap();
        let expected = ValidationRecord { step: 2, knn: Some(0.5), ..ValidationRecord::default() };
        assert_eq!(read, Record::Validation(expected));
        let line = json!({"kind": "train", "step": 2, "words": "new", "penalty": 1});
        let read: Record = serde_json::from_value(line).unwrap();
        assert_eq!(read.train().unwrap().parts, [("penalty".to_owned(), 1.0)].into());
    }
}
