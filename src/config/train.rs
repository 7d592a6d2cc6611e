//! Settings of the batch and the length of a run.

use torchkit::Precision;

use super::warm_start::WarmStart;
use crate::{
    numbers,
    optim::Lengthened,
    settings::{Heading, in_files_only, path, real, settings, text, whole, yes_or_no},
};

settings! {
    /// Batch and length of a run.
    pub struct TrainConfig {
        /// Number of samples in a step.
        batch_size: Option<usize> = None, whole(numbers::BATCH).flag(Heading::Training, "N")
            .default("that of the method; on the CPU at most 64, from 128 pixels on 32; at most the size of the dataset");
        /// Number of passes over the dataset.
        epochs: Option<f64> = None, real(numbers::EPOCHS).flag(Heading::Training, "X").conflicts_with("steps").free()
            .default("those of the method and the preset").after("schedule");
        /// Number of steps, instead of epochs.
        steps: Option<u64> = None, whole(numbers::COUNT).flag(Heading::Training, "N").free().after("epochs");
        /// Precision of the encoder: auto, f32, tf32 (f32 on the CPU) or bf16. Scores, losses and the
        /// optimizer's state are always f32.
        #[serde(with = "crate::settings::as_text")]
        precision: Precision = Precision::Auto, text::<Precision>().flag(Heading::Training, "KIND")
            .default("auto: bf16 if the device has instructions for it, else f32; on the CPU bf16 only for AMDIM's encoder");
        /// Encode a batch in this number of parts, one after the other: less memory, more time. The negatives
        /// are those of the whole batch; batch norms normalize each part separately (--bn-groups).
        accumulate: usize = 1, whole(numbers::PARTS).flag(Heading::Training, "N");
        /// Number of groups of consecutive samples of a batch that batch norms normalize separately: a multiple of
        /// the parts (--accumulate) times the processes; or as many as parts, which all processes normalize together.
        #[serde(skip_serializing_if = "Option::is_none")]
        bn_groups: Option<i64> = None, whole(numbers::GROUPS).flag(Heading::Training, "N")
            .default("1 in each part; with moco as many as leave at least 32 samples in each, at most 8");
        /// Recompute the inside of each block in the backward pass instead of storing it: the same results,
        /// less memory, more time.
        checkpoint_blocks: bool = false, yes_or_no().flag(Heading::Training, "BOOL").free();
        /// Start with the encoder of this run, import or checkpoint; or with that of the previous run in the
        /// run folder (see --if-changed): last, or best for its best checkpoint. Probes and optimizer start
        /// anew.
        #[serde(skip_serializing_if = "Option::is_none")]
        warm_start: Option<WarmStart> = None, path().flag(Heading::Training, "last|best|DIR");
        /// Written by the program when a run is lengthened: the steps made until then keep their schedule.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lengthened: Vec<Lengthened> = Vec::new(), in_files_only().free();
    }
}
