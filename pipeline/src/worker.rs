//! A decoding thread.

use crossbeam::channel::{Receiver, Sender};
use shards::{Encoded, Sample};

use crate::{BadSample, Error, Result, stats::Counters};

/// A sample, or why there is none, with its number in the stream.
pub(crate) type Job = (u64, shards::Result<Sample>);

/// What became of a job.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
    /// The buffer: all views of a good sample, else anything.
    pub(crate) views: Vec<u8>,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its views are there. The sample has no image any more, so that the mapping need not be kept.
    Good(Sample),
    /// It is a bad sample, which goes into no batch.
    Bad(BadSample),
    /// The stream ends.
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

/// A worker's ends of the channels.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) spares: Receiver<Vec<u8>>,
    pub(crate) jobs: Receiver<Job>,
    pub(crate) answers: Sender<Answer>,
}

/// Renders samples until they run out or nobody wants them.
pub(crate) fn run(ends: Ends, counters: &Counters, mut render: impl FnMut(&Sample, &mut [u8]) -> Result<()>) {
    // Buffer first, sample second: whoever holds the oldest sample always has somewhere to put its views.
    while let Ok(mut views) = counters.augment.output(|| ends.spares.recv()) {
        let Ok((number, sample)) = counters.decode.input(|| ends.jobs.recv()) else {
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

/// Answers for a sample whose worker panics, so that nobody waits for it.
#[derive(Debug)]
struct Ticket<'a> {
    number: u64,
    /// Taken out when the sample is done with.
    sample: Option<Sample>,
    answers: &'a Sender<Answer>,
}

impl Ticket<'_> {
    fn sample(&self) -> &Sample {
        self.sample.as_ref().expect("a ticket has its sample until redeemed")
    }

    /// Ends the ticket: the worker answers itself.
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
            // Without a receiver there is nobody left to tell.
            drop(self.answers.send(answer));
        }
    }
}
