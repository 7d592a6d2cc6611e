//! The metrics of the page: names, types and descriptions. The documents have the same table.

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows while a process runs.
    Counter,
    /// A number that may fall.
    Gauge,
    /// Counts of times by buckets.
    Histogram,
}

impl Kind {
    /// Returns the name in the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric of the page.
#[derive(Debug)]
pub struct Metric {
    /// Its place in [`METRICS`].
    pub id: Id,
    /// The full name, with the unit.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The names of its labels, separated by commas, or nothing.
    pub labels: &'static str,
    /// The description, a phrase.
    pub help: &'static str,
}

/// Declares the metrics in their order on the page.
macro_rules! metrics {
    ($($id:ident $kind:ident $name:literal $labels:literal $help:literal;)*) => {
        /// The place of a metric in [`METRICS`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Id {
            $(#[doc = $help] $id,)*
        }

        /// All metrics, in their order on the page.
        pub const METRICS: &[Metric] = &[
            $(Metric { id: Id::$id, name: concat!("amdim_stream_", $name), kind: Kind::$kind, labels: $labels, help: $help },)*
        ];
    };
}

metrics! {
    Build Gauge "build_info" "version, commit" "Always 1; the labels say which program runs";
    Run Gauge "run_info" "method, preset, precision, device" "Always 1; the labels say what is trained";
    Step Gauge "step" "" "Steps made by the run, also by earlier processes";
    Steps Counter "steps_total" "" "Steps made since the start of the process";
    PlannedSteps Gauge "planned_steps" "" "Steps of the whole run";
    LastStep Gauge "last_step_timestamp_seconds" "" "Unix time of the last step, before the first one of the start";
    Images Counter "images_total" "" "Images trained on since the start of the process, by all processes";
    Epoch Gauge "epoch" "" "Samples trained on, divided by the size of the dataset";
    Loss Gauge "loss" "task" "Loss in nats: total, and each part under its name in records";
    LossChance Gauge "loss_chance" "task" "Loss in nats of features without information: total, and each part that has one";
    LearningRate Gauge "learning_rate" "" "Learning rate of the last step";
    Rate Gauge "images_per_second" "" "Images per second of the last record";
    StepSeconds Histogram "step_seconds" "" "Time from one step to the next";
    DataWait Counter "data_wait_seconds_total" "" "Time that training waited for data";
    Copy Counter "copy_seconds_total" "" "Time of copying to the GPU";
    Bottleneck Gauge "bottleneck" "part" "1 for what limits the speed (data, copy or compute), else 0";
    SampleCpu Gauge "sample_cpu_seconds" "stage" "CPU time of loading a sample: read, decode, augment, batch";
    RemoteBytes Counter "remote_bytes_total" "" "Bytes of shards and indices that servers sent to the leading process";
    RemoteRequests Counter "remote_requests_total" "" "Requests of the leading process to servers, retries included";
    RemoteRetries Counter "remote_retries_total" "" "Requests of the leading process to servers that repeat one that failed";
    RemoteParts Counter "remote_parts_total" "from" "Parts of shards on servers that the leading process took from the cache or the server";
    RemoteWait Counter "remote_wait_seconds_total" "" "Time that threads of the leading process have waited for parts of shards on servers, added up";
    QueueDepth Gauge "queue_depth" "stage" "Samples or batches that wait for a stage";
    BadSamples Counter "bad_samples_total" "" "Distinct bad samples and damaged shards of the run";
    BadBudget Gauge "bad_samples_budget_used_ratio" "" "Share of --max-bad that is used up; the run ends above 1";
    CheckpointSeconds Gauge "checkpoint_seconds" "" "Time of the last save";
    CheckpointTimestamp Gauge "checkpoint_timestamp_seconds" "" "Unix time of the last save";
    ProbeAccuracy Gauge "probe_accuracy" "head, samples" "Top-1 of the online probes (linear, mlp) on the batch and in validation";
    ProbeLoss Gauge "probe_loss" "head" "Loss of the online probes in nats";
    KnnAccuracy Gauge "knn_accuracy" "k" "Top-1 of the vote of the nearest training samples";
    Rankme Gauge "rankme" "" "Effective rank of the features";
    Cosine Gauge "feature_cosine" "" "Mean cosine of the features of two samples";
    GpuUtilization Gauge "gpu_utilization_ratio" "" "Utilization of the GPU";
    GpuMemory Gauge "gpu_memory_bytes" "" "Memory of the GPU in use by all processes";
    TensorMemory Gauge "tensor_memory_peak_bytes" "" "Largest amount of GPU memory that tensors used";
    Processes Gauge "processes" "" "Processes that train together";
    ProcessWait Gauge "process_data_wait_seconds" "of" "Time of a step that a process waited for its batch: min, median and max over the processes";
    SlowestRank Gauge "slowest_rank" "" "Rank of the process that waited most";
    Dropped Counter "observer_dropped_total" "" "Records, images and histograms that were left out because they could not be written in time";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_type_and_the_unit() {
        for (number, Metric { id, name, kind, help, .. }) in METRICS.iter().enumerate() {
            assert_eq!(*id as usize, number);
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!help.ends_with('.') && !help.contains(['\n', '\\']), "{name}");
            assert_eq!(METRICS.iter().filter(|other| other.name == *name).count(), 1, "{name}");
        }
    }
}
