//! A worker: a thread that decodes and augments.

use crossbeam::channel::{Receiver, Sender};
use shards::{Encoded, Sample};

use crate::{BadSample, Error, Result, stats::Counters};

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

/// The outcome of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A rendered sample. Its encoded image is dropped, so that its mapping need not be kept.
    Good(Sample),
    /// A bad sample, which goes into no batch.
    Bad(BadSample),
    /// An error that ends the stream.
    Failed(Error),
}

impl From<shards::Error> for Outcome {
    fn from(error: shards::Error) -> Self {
        match error {
            shards::Error::Sample { shard, offset, key, source } => {
                Self::Bad(BadSample { shard, offset, key, reason: format!("cannot be read: {source}") })
            }
            error => Self::Failed(error.into()),
        }
    }
}

/// The channel ends of a worker.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) spares: Receiver<Vec<u8>>,
    pub(crate) jobs: Receiver<Job>,
    pub(crate) answers: Sender<Answer>,
}

/// Runs a worker: renders samples until they end or the batching thread is gone.
pub(crate) fn run(ends: Ends, counters: &Counters, mut render: impl FnMut(&Sample, &mut [u8]) -> Result<()>) {
    // Take the buffer before the sample, so that the worker with the oldest sample always has a buffer:
    // otherwise all workers could wait for each other.
    while let Ok(mut views) = counters.augment.output(|| ends.spares.recv()) {
        let Ok(Job { number, sample }) = counters.decode.input(|| ends.jobs.recv()) else {
            return;
        };
        let outcome = match sample {
            Ok(sample) => {
                let ticket = Ticket { number, sample: Some(sample), answers: &ends.answers };
                let rendered = render(ticket.sample(), &mut views);
                ticket.redeem(rendered)
            }
            Err(error) => error.into(),
        };
        let answer = Answer { number, outcome, views };
        if !counters.augment.output(|| ends.answers.send(answer).is_ok()) {
            return;
        }
    }
}

/// A guard that answers for a sample if its worker panics, so that the batching thread does not wait for it
/// forever.
#[derive(Debug)]
struct Ticket<'a> {
    number: u64,
    /// The sample; taken out when it has been rendered.
    sample: Option<Sample>,
    answers: &'a Sender<Answer>,
}

impl Ticket<'_> {
    fn sample(&self) -> &Sample {
        self.sample.as_ref().expect("a ticket has its sample until redeemed")
    }

    /// Disarms the guard: the worker sends the answer itself.
    fn redeem(mut self, rendered: Result<()>) -> Outcome {
        let sample = self.sample.take().expect("a ticket has its sample until redeemed");
        match rendered {
            Ok(()) => Outcome::Good(Sample { image: Encoded::default(), ..sample }),
            Err(error) => Outcome::Bad(BadSample::new(&sample, &error)),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(Sample { shard, offset, key, .. }) = self.sample.take() {
            let outcome = Outcome::Failed(Error::Worker { shard, offset, key });
            let answer = Answer { number: self.number, outcome, views: Vec::new() };
            // Without a receiver the answer is not needed.
            drop(self.answers.send(answer));
        }
    }
}
