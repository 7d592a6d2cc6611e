//! The bottleneck of a run, and the flag that helps most against it.

use std::fmt;

use pipeline::DecodeMode;
use torchkit::{Choice, Precision};

use super::record::Bottleneck;

/// Shares of the time of some steps, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// The share in which training waited for batches.
    pub(crate) waited: f64,
    /// The share in which the copy stream was at work; 0 where nothing is copied.
    pub(crate) copying: f64,
}

/// What held up the reading of shards on servers in some steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Parts came from the server more slowly than they were needed: this many requests were made at a time.
    Requests(usize),
    /// Parts that had been in the cache before were fetched again: all shards have so many bytes.
    Cache(u64),
}

/// The settings of a run that decide how fast it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices {
    /// Cores of the machine.
    pub(crate) cores: usize,
    /// Decoding threads.
    pub(crate) workers: usize,
    /// The JPEG decoder.
    pub(crate) decode: DecodeMode,
    /// Threads of libtorch, where it computes on the CPU.
    pub(crate) threads: Option<usize>,
    /// The precision of the encoder.
    pub(crate) precision: Precision,
    /// The fastest precision of the device.
    pub(crate) native: Precision,
    /// The setting of CUDA graphs, where the device has them.
    pub(crate) graph: Option<Choice>,
    /// Whether blocks are recomputed in the backward pass.
    pub(crate) checkpoint_blocks: bool,
    /// Parts in which a batch is encoded.
    pub(crate) accumulate: usize,
    /// The flags that change the size of the encoder.
    pub(crate) size_flags: &'static str,
}

/// The bottleneck of some steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// The part that the others wait for.
    pub(crate) bound: Bottleneck,
    /// The share of the time spent waiting for data (`Data`), copying (`Copy`), or not waiting (`Compute`).
    pub(crate) share: f64,
    /// The flag that helps most, if one does.
    pub(crate) cure: Option<String>,
}

impl Verdict {
    /// Up to this share, waiting is no more than the jitter of threads.
    const WAITED: f64 = 0.05;
    /// From this share on, training waits for copies.
    const COPYING: f64 = 0.8;

    /// Finds the bottleneck of steps with these shares.
    pub(crate) fn of(shares: Shares, line: Option<Line>, choices: Choices) -> Self {
        let Shares { waited, copying } = shares;
        if waited <= Self::WAITED {
            Self {
                bound: Bottleneck::Compute,
                share: 1.0 - waited,
                cure: choices.faster_steps().map(|faster| faster.to_string()),
            }
        } else if copying >= Self::COPYING {
            // Copies are bytes from pinned memory, beside the steps: only the bus limits them.
            Self { bound: Bottleneck::Copy, share: copying, cure: None }
        } else {
            let cure = line.map_or_else(|| choices.faster_data(), Line::cure);
            Self { bound: Bottleneck::Data, share: waited, cure: Some(cure) }
        }
    }
}

impl Line {
    /// Returns the flag that makes reading from servers faster.
    fn cure(self) -> String {
        match self {
            Self::Requests(connections) => format!("--remote-connections {}", (2 * connections).min(1024)),
            Self::Cache(bytes) => format!("--cache-limit {}GB", (bytes + bytes / 8).div_ceil(1_000_000_000)),
        }
    }
}

impl Choices {
    /// Returns the flag, or the command, that makes loading faster.
    pub(crate) fn faster_data(self) -> String {
        if self.workers < self.cores {
            format!("--workers {}", self.cores)
        } else if self.decode == DecodeMode::Exact {
            "--decode fast".to_owned()
        } else {
            "smaller images by `amdim-stream pack --resize 256`".to_owned()
        }
    }

    /// Returns what makes steps faster, if a flag does.
    pub(crate) fn faster_steps(self) -> Option<FasterSteps> {
        let threads = self.threads.filter(|&threads| threads < self.cores);
        if self.native == Precision::Bf16 && self.precision != Precision::Bf16 {
            Some(FasterSteps::Precision)
        } else if self.graph == Some(Choice::Off) {
            Some(FasterSteps::CudaGraph)
        } else if self.checkpoint_blocks {
            Some(FasterSteps::KeepBlocks)
        } else if self.accumulate > 1 {
            Some(FasterSteps::WholeBatch)
        } else {
            threads.map(|threads| FasterSteps::Threads { threads, cores: self.cores })
        }
    }
}

/// A change of the settings that makes steps faster. It is displayed as its flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FasterSteps {
    /// Compute in bf16, which the device is fastest with.
    Precision,
    /// Capture steps as CUDA graphs.
    CudaGraph,
    /// Keep the activations of blocks instead of recomputing them.
    KeepBlocks,
    /// Encode the whole batch in one part.
    WholeBatch,
    /// Compute on all cores.
    Threads {
        /// The threads of libtorch now.
        threads: usize,
        /// Cores of the machine.
        cores: usize,
    },
}

impl fmt::Display for FasterSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Precision => f.write_str("--precision bf16"),
            Self::CudaGraph => f.write_str("--cuda-graph auto"),
            Self::KeepBlocks => f.write_str("--checkpoint-blocks false, if the memory suffices"),
            Self::WholeBatch => f.write_str("--accumulate 1, if the memory suffices"),
            Self::Threads { cores, .. } => write!(f, "--threads {cores}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: Choices = Choices {
        cores: 8,
        workers: 8,
        decode: DecodeMode::Exact,
        threads: None,
        precision: Precision::Bf16,
        native: Precision::Bf16,
        graph: Some(Choice::Auto),
        checkpoint_blocks: false,
        accumulate: 1,
        size_flags: "--features",
    };

    fn verdict(waited: f64, copying: f64, choices: Choices) -> (Bottleneck, f64, String) {
        let Verdict { bound, share, cure } = Verdict::of(Shares { waited, copying }, None, choices);
        (bound, share, cure.unwrap_or_default())
    }

    #[test]
    fn waiting_for_data_or_copies_is_named_with_the_flag_that_helps() {
        let few = Choices { workers: 4, ..CHOICES };
        assert_eq!(verdict(0.34, 0.1, few), (Bottleneck::Data, 0.34, "--workers 8".to_owned()));
        assert_eq!(verdict(0.34, 0.1, CHOICES), (Bottleneck::Data, 0.34, "--decode fast".to_owned()));
        let fast = Choices { decode: DecodeMode::Fast, ..CHOICES };
        assert!(verdict(0.34, 0.1, fast).2.contains("--resize"));
        assert_eq!(verdict(0.2, 0.95, CHOICES).0, Bottleneck::Copy);
    }

    #[test]
    fn a_slow_server_is_named_before_decoding_unless_nothing_waits() {
        let cure = |waited, line| Verdict::of(Shares { waited, copying: 0.0 }, Some(line), CHOICES).cure;
        assert_eq!(cure(0.5, Line::Requests(32)).as_deref(), Some("--remote-connections 64"));
        assert_eq!(cure(0.5, Line::Cache(150_000_000_000)).as_deref(), Some("--cache-limit 169GB"));
        assert_eq!(cure(0.01, Line::Requests(32)), None);
    }

    #[test]
    fn steps_are_the_bottleneck_of_a_device_that_hardly_waits() {
        assert_eq!(verdict(0.02, 0.95, CHOICES), (Bottleneck::Compute, 0.98, String::new()));
        let slow = Choices { precision: Precision::F32, accumulate: 4, ..CHOICES };
        assert_eq!(verdict(0.0, 0.0, slow).2, "--precision bf16");
        let queued = Choices { graph: Some(Choice::Off), accumulate: 4, ..CHOICES };
        assert_eq!(verdict(0.0, 0.0, queued).2, "--cuda-graph auto");
        assert_eq!(verdict(0.0, 0.0, Choices { threads: Some(2), ..CHOICES }).2, "--threads 8");
        assert!(verdict(0.0, 0.0, Choices { accumulate: 4, ..CHOICES }).2.starts_with("--accumulate 1"));
    }
}
