//! Batch and length of a run.

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
        /// Samples in a step.
        batch_size: Option<usize> = None, whole(numbers::BATCH).flag(Heading::Training, "N")
            .default("200; on the CPU 64, with in128 32; never more than there are");
        /// Passes over the samples.
        epochs: Option<f64> = None, real(numbers::EPOCHS).flag(Heading::Training, "X").conflicts_with("steps").free()
            .default("50 with in128, else 300").after("schedule");
        /// Updates, instead of epochs.
        steps: Option<u64> = None, whole(numbers::COUNT).flag(Heading::Training, "N").free().after("epochs");
        /// auto, f32, tf32 (on the CPU the same) or bf16: what the encoder is computed in; scores, losses and the optimizer's
        /// state are f32 always.
        #[serde(with = "crate::settings::as_text")]
        precision: Precision = Precision::Auto, text::<Precision>().flag(Heading::Training, "KIND")
            .default("auto, bf16 where the device has instructions for it, else f32");
        /// Encode a batch in so many parts, one after the other: less memory, more time. Negatives are those of the whole batch;
        /// batch norms see each part by itself, and their running statistics move once for each.
        accumulate: usize = 1, whole(numbers::PARTS).flag(Heading::Training, "N");
        /// Compute what happens inside of a block again on the way back instead of keeping it: the same results, less memory,
        /// more time.
        checkpoint_blocks: bool = false, yes_or_no().flag(Heading::Training, "BOOL").free();
        /// Begin with the encoder of this run, import or checkpoint; or with that of the run that lay in the run folder before (see
        /// --if-changed): last, or best for its best checkpoint. Probes and optimizer begin anew.
        #[serde(skip_serializing_if = "Option::is_none")]
        warm_start: Option<WarmStart> = None, path().flag(Heading::Training, "last|best|DIR");
        /// Written by the program when a run is given more steps: what was made by then keeps its schedule.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lengthened: Vec<Lengthened> = Vec::new(), in_files_only().free();
    }
}
