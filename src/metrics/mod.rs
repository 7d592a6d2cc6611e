//! The numbers of a run: metrics of steps, and records that are written to every sink and read back.

mod bottleneck;
mod file;
mod histogram;
mod jsonl;
mod progress;
mod record;
mod scores;
mod sink;
mod step;
mod straggler;

pub(crate) use self::{
    bottleneck::{Choices, FasterSteps, Line, Shares, Verdict},
    scores::PendingScores,
    step::{PendingMetrics, ProbeMetrics},
    straggler::{Spread, Stragglers},
};
pub use self::{
    file::{FORMAT, RecordFile, read},
    histogram::Histogram,
    jsonl::{JsonLines, read_lines},
    progress::Progress,
    record::{
        Bottleneck, DeviceNumbers, LoadingCosts, Named, Number, ProbeNumbers, ProcessNumbers, Record,
        RemoteNumbers, TrainRecord, ValidationRecord,
    },
    scores::ScoreMetrics,
    sink::{Made, Sink},
    step::{StepMetrics, StepNumbers},
};
