//! A worker: a thread that decodes and augments.

use crossbeam::channel::{Receiver, Sender};
use shards::{Encoded, Sample};

use crate::{
    BadSample, Error, Result,
    outcome::Outcome,
    replacer::Replacer,
    stats::Counters,
    trace::{self, BatchIds},
};

/// A sample, or the error in its place, with its number in the stream.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) sample: shards::Result<Sample>,
}

/// The result of a job.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
    /// The buffer: all views of a good sample, otherwise undefined.
    pub(crate) views: Vec<u8>,
}

/// The channel ends of a worker.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) spares: Receiver<Vec<u8>>,
    pub(crate) jobs: Receiver<Job>,
    pub(crate) answers: Sender<Answer>,
}

/// Runs a worker: renders samples until they end or the batching thread is gone. With a replacer, other
/// samples take the places of bad ones.
pub(crate) fn run(
    ends: Ends,
    counters: &Counters,
    ids: BatchIds,
    replacer: Option<&Replacer>,
    mut render: impl FnMut(&Sample, &mut [u8]) -> Result<()>,
) {
    // Take the buffer before the sample, so that the worker with the oldest sample always has a buffer:
    // otherwise all workers could wait for each other.
    while let Ok(mut views) = counters.augment.output(|| ends.spares.recv()) {
        let Ok(Job { number, sample }) = counters.decode.input(|| ends.jobs.recv()) else {
            return;
        };
        trace::about(ids.of_sample(number));
        let mut judge = |sample| judge(number, sample, &ends.answers, |sample| render(sample, &mut views));
        let outcome = match (judge(sample), replacer) {
            (Outcome::Bad(bad), Some(replacer)) => {
                let ticket = Ticket { number, subject: Some(bad.clone()), answers: &ends.answers };
                let read = |place| counters.read.work(|| replacer.read(place, number));
                let outcome = replacer.replace(number, bad, |place| judge(read(place)));
                ticket.redeem();
                outcome
            }
            (outcome, _) => outcome,
        };
        let answer = Answer { number, outcome, views };
        if !counters.augment.output(|| ends.answers.send(answer).is_ok()) {
            return;
        }
    }
}

/// Renders a sample for the job `number`.
fn judge(
    number: u64,
    sample: shards::Result<Sample>,
    answers: &Sender<Answer>,
    render: impl FnOnce(&Sample) -> Result<()>,
) -> Outcome {
    let sample = match sample {
        Ok(sample) => sample,
        Err(error) => return error.into(),
    };
    let ticket = Ticket { number, subject: Some(sample), answers };
    let rendered = render(ticket.subject());
    let sample = ticket.redeem();
    match rendered {
        Ok(()) => Outcome::Good(Sample { image: Encoded::default(), ..sample }),
        Err(error) => Outcome::Bad(BadSample::new(&sample, &error)),
    }
}

/// A guard that answers for a sample if its worker panics, so that the batching thread does not wait for it
/// forever.
#[derive(Debug)]
struct Ticket<'a, S: Subject> {
    number: u64,
    /// The sample; taken out when the worker is done with it.
    subject: Option<S>,
    answers: &'a Sender<Answer>,
}

/// A sample that a worker is busy with.
trait Subject {
    /// Returns the error of a panic.
    fn panicked(self) -> Error;
}

impl Subject for Sample {
    fn panicked(self) -> Error {
        let Self { shard, offset, key, .. } = self;
        Error::Worker { shard, offset, key }
    }
}

impl Subject for BadSample {
    fn panicked(self) -> Error {
        let Self { shard, offset, key, .. } = self;
        Error::Worker { shard, offset, key }
    }
}

impl<S: Subject> Ticket<'_, S> {
    fn subject(&self) -> &S {
        self.subject.as_ref().expect("a ticket has its sample until redeemed")
    }

    /// Disarms the guard: the worker sends the answer itself.
    fn redeem(mut self) -> S {
        self.subject.take().expect("a ticket has its sample until redeemed")
    }
}

impl<S: Subject> Drop for Ticket<'_, S> {
    fn drop(&mut self) {
        if let Some(subject) = self.subject.take() {
            let outcome = Outcome::Failed(subject.panicked());
            let answer = Answer { number: self.number, outcome, views: Vec::new() };
            // Without a receiver the answer is not needed.
            drop(self.answers.send(answer));
        }
    }
}
