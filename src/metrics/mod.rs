//! What a run says of itself: records of named numbers, written to every sink, and read back.

mod file;
mod jsonl;
mod progress;
mod record;
mod sink;

pub use self::{
    file::{FORMAT, RecordFile, read},
    jsonl::{JsonLines, read_lines},
    progress::Progress,
    record::{
        Bottleneck, DeviceNumbers, LoadingCosts, Named, Number, ProbeNumbers, Record, TrainRecord,
        ValidationRecord,
    },
    sink::Sink,
};
