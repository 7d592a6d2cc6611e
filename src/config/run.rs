//! How a run is carried out.

use pipeline::BadSampleBudget;
use serde::{Deserialize, Serialize};
use torchkit::{DeviceChoice, GraphChoice};

use crate::{
    numbers,
    settings::{Heading, choice, settings, text, whole},
};

settings! {
    /// How a run is carried out; nothing here changes what it computes, but for rounding with another device or number of threads.
    pub struct RunConfig {
        /// auto, cpu, cuda or cuda:N.
        #[serde(with = "crate::settings::as_text")]
        device: DeviceChoice = DeviceChoice::Auto, text::<DeviceChoice>().flag(Heading::Run, "DEVICE").default("auto");
        /// auto, on or off: queue a step as one CUDA graph instead of kernel by kernel. Where none can be recorded the run goes on
        /// without, and says why.
        #[serde(with = "crate::settings::as_text")]
        cuda_graph: GraphChoice = GraphChoice::Auto, text::<GraphChoice>().flag(Heading::Run, "CHOICE").default("auto");
        /// Decoding threads.
        workers: Option<usize> = None, whole(numbers::THREADS).flag(Heading::Run, "N").default("one a core");
        /// Threads that libtorch computes with on the CPU.
        threads: Option<usize> = None, whole(numbers::THREADS).flag(Heading::Run, "N")
            .default("its share of the cores, by what a sample costs to decode and to train on");
        /// Steps between log records.
        log_every: u64 = 10, whole(numbers::COUNT).flag(Heading::Run, "STEPS");
        /// Steps between checkpoints.
        checkpoint_every: u64 = 500, whole(numbers::COUNT).flag(Heading::Run, "STEPS");
        /// Latest checkpoints that are kept.
        keep: usize = 3, whole(numbers::COUNT).flag(Heading::Run, "N");
        /// Keep also the checkpoints whose step is a multiple of this.
        keep_every: u64 = 0, whole(numbers::COUNT_OR_NONE).flag(Heading::Run, "STEPS").default("0, none");
        /// Epochs between validations.
        validate_every: u64 = 1, whole(numbers::COUNT).flag(Heading::Run, "EPOCHS");
        /// Epochs between votes of the 20 nearest neighbours among 5,000 training samples, each in a validation.
        knn_every: u64 = 0, whole(numbers::COUNT_OR_NONE).flag(Heading::Run, "EPOCHS").default("0, none");
        /// Keep the checkpoint that does best in validations, as checkpoints/best: linear, mlp or knn.
        #[serde(skip_serializing_if = "Option::is_none")]
        best: Option<Metric> = None, choice::<Metric>().flag(Heading::Run, "METRIC").default("none");
        /// Samples that may be unreadable: a share such as 1% (held against a run after 1000 samples), or a number.
        #[serde(with = "crate::settings::as_text")]
        max_bad: BadSampleBudget = BadSampleBudget::default(), text::<BadSampleBudget>().flag(Heading::Data, "BUDGET")
            .default("1%");
    }
}

/// What a validation measures, by its name in the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Accuracy of the linear online probe.
    Linear,
    /// Accuracy of the MLP.
    Mlp,
    /// Accuracy of the vote of neighbours.
    Knn,
}

impl Metric {
    /// As records call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Mlp => "mlp",
            Self::Knn => "knn",
        }
    }
}
