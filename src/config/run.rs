//! Settings of how a run is carried out.

use pipeline::BadSampleBudget;
use serde::{Deserialize, Serialize};
use torchkit::{Choice, DeviceChoice};

use crate::{
    numbers,
    settings::{Heading, choice, settings, text, whole, yes_or_no},
};

settings! {
    /// Settings of how a run is carried out. None of them changes its results, apart from the rounding of
    /// another device or number of threads.
    pub struct RunConfig {
        /// Device to train on: auto, cpu, cuda or cuda:N.
        #[serde(with = "crate::settings::as_text")]
        device: DeviceChoice = DeviceChoice::Auto, text::<DeviceChoice>().flag(Heading::Run, "DEVICE").default("auto");
        /// Run a step as one CUDA graph instead of kernel by kernel: auto, on or off. If no graph can be
        /// recorded, the run continues without one and says why.
        #[serde(with = "crate::settings::as_text")]
        cuda_graph: Choice = Choice::Auto, text::<Choice>().flag(Heading::Run, "CHOICE").default("auto");
        /// Compute several operations of a step in one pass over memory: auto, on or off. With auto, a GPU
        /// compares them with the operations one by one on the first batch, and leaves out what differs.
        #[serde(with = "crate::settings::as_text")]
        fused: Choice = Choice::Auto, text::<Choice>().flag(Heading::Run, "CHOICE").default("auto");
        /// Number of decoding threads.
        workers: Option<usize> = None, whole(numbers::THREADS).flag(Heading::Run, "N").default("one per core");
        /// Number of threads that libtorch uses on the CPU.
        threads: Option<usize> = None, whole(numbers::THREADS).flag(Heading::Run, "N")
            .default("a share of the cores, by the cost of decoding a sample and of training on it");
        /// Steps between log records.
        log_every: u64 = 10, whole(numbers::COUNT).flag(Heading::Run, "STEPS");
        /// Steps between checkpoints.
        checkpoint_every: u64 = 500, whole(numbers::COUNT).flag(Heading::Run, "STEPS");
        /// Number of latest checkpoints to keep.
        keep: usize = 3, whole(numbers::COUNT).flag(Heading::Run, "N");
        /// Also keep the checkpoints whose step is a multiple of this.
        keep_every: u64 = 0, whole(numbers::COUNT_OR_NONE).flag(Heading::Run, "STEPS").default("0, none");
        /// Epochs between validations.
        validate_every: u64 = 1, whole(numbers::COUNT).flag(Heading::Run, "EPOCHS");
        /// Epochs between validations that also measure a vote of the 20 nearest among 5,000 training
        /// samples.
        knn_every: u64 = 0, whole(numbers::COUNT_OR_NONE).flag(Heading::Run, "EPOCHS").default("0, none");
        /// Keep the checkpoint with the best value of this metric as checkpoints/best: linear, mlp or knn.
        #[serde(skip_serializing_if = "Option::is_none")]
        best: Option<Metric> = None, choice::<Metric>().flag(Heading::Run, "METRIC").default("none");
        /// Also write records, and histograms of scores, for TensorBoard, to the folder tensorboard of the run
        /// folder.
        tensorboard: bool = false, yes_or_no().flag(Heading::Run, "BOOL");
        /// Bad samples above which a run stops: a share such as 1% (compared after 1000 samples), or a
        /// number.
        #[serde(with = "crate::settings::as_text")]
        max_bad: BadSampleBudget = BadSampleBudget::default(), text::<BadSampleBudget>().flag(Heading::Data, "BUDGET")
            .default("1%");
    }
}

/// A metric of validations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Accuracy of the linear online probe.
    Linear,
    /// Accuracy of the MLP online probe.
    Mlp,
    /// Accuracy of the vote of nearest neighbours.
    Knn,
}

impl Metric {
    /// Returns the name of the metric in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Mlp => "mlp",
            Self::Knn => "knn",
        }
    }
}
