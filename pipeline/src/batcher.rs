//! The batching thread: it copies answers, in order, into slabs.

use std::{
    collections::VecDeque,
    convert::Infallible,
    iter,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crossbeam::{
    channel::{Receiver, Sender},
    select,
};

use crate::{
    BadSample, Batch, Error, Lease, Result, Shape, Slab,
    draft::BatchDraft,
    outcome::Outcome,
    stats::Counters,
    tally::Tally,
    trace::{self, BatchIds},
    worker::Answer,
};

/// The channel ends of the batching thread.
#[derive(Debug)]
pub(crate) struct Ends<S: Slab> {
    pub(crate) answers: Receiver<Answer>,
    /// Returns buffers to the workers.
    pub(crate) spares: Sender<Vec<u8>>,
    pub(crate) slabs: Receiver<S>,
    /// Returns slabs from leases. Since leases and this thread hold it, `slabs` never disconnects: hence
    /// `hangup`.
    pub(crate) home: Sender<S>,
    pub(crate) batches: Sender<Result<Batch<S>>>,
    /// Disconnects when the loader is dropped.
    pub(crate) hangup: Receiver<Infallible>,
}

/// The state of the batching thread, which makes batches of answers.
#[derive(Debug)]
pub(crate) struct Batcher<S: Slab> {
    pub(crate) ends: Ends<S>,
    pub(crate) counters: Arc<Counters>,
    /// The shapes of the groups of views in a full batch.
    pub(crate) full: Vec<Shape>,
    /// The number of samples in a full batch.
    pub(crate) batch_size: usize,
    pub(crate) drop_last: bool,
    pub(crate) tally: Tally,
    pub(crate) queue: Queue,
    pub(crate) ids: BatchIds,
    /// The number of batches begun.
    pub(crate) begun: u64,
    /// Bad samples that no batch has reported yet.
    pub(crate) bad_samples: Vec<BadSample>,
}

impl<S: Slab> Batcher<S> {
    /// Makes batches until the answers end or the batches' receiver is dropped. Returns the bad samples after
    /// the last batch.
    pub(crate) fn run(mut self) -> Vec<BadSample> {
        while let Some(batch) = self.batch().transpose() {
            let is_last = batch.is_err();
            let is_sent = self.counters.batch.output(|| self.ends.batches.send(batch).is_ok());
            if is_last || !is_sent {
                break;
            }
        }
        self.bad_samples
    }

    fn batch(&mut self) -> Result<Option<Batch<S>>> {
        let mut draft = None;
        while let Some(Answer { outcome, views, .. }) = self.next() {
            let sample = match outcome {
                Outcome::Good(sample) => {
                    self.tally.good()?;
                    Some(sample)
                }
                Outcome::Replaced { bad, by } => {
                    self.report(bad)?;
                    Some(by)
                }
                Outcome::Bad(sample) => {
                    self.report(sample)?;
                    None
                }
                Outcome::Hopeless { first, others } => return Err(self.give_up(first, others)),
                Outcome::Failed(error) => return Err(error),
            };
            if let Some(sample) = sample {
                let Some(draft) = self.draft(&mut draft) else {
                    return Ok(None);
                };
                self.counters.batch.work(|| draft.push(&sample, &views));
                self.counters.samples.fetch_add(1, Relaxed);
            }
            // There is room for every buffer; without workers the buffer is not needed.
            drop(self.ends.spares.try_send(views));
            if let Some(batch) = draft.take_if(|draft| draft.is_full()) {
                return Ok(Some(self.finish(batch)));
            }
        }
        Ok(draft.filter(|_| !self.drop_last).map(|draft| self.finish(draft)))
    }

    /// Returns the next answer in order; `None` at the end, or when the loader is gone.
    fn next(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.queue.pop() {
                return Some(answer);
            }
            let answer = self.counters.batch.input(|| receive(&self.ends.answers, &self.ends.hangup))?;
            self.queue.insert(answer);
        }
    }

    /// Returns the batch being filled, beginning one if necessary. `None` when the loader is gone.
    fn draft<'a>(&mut self, draft: &'a mut Option<BatchDraft<S>>) -> Option<&'a mut BatchDraft<S>> {
        if draft.is_none() {
            let id = self.ids.of_batch(self.begun);
            self.begun += 1;
            trace::about(id);
            let slab = self.counters.batch.output(|| receive(&self.ends.slabs, &self.ends.hangup))?;
            let lease = Lease::new(slab, self.ends.home.clone());
            *draft = Some(BatchDraft::new(lease, &self.full, self.batch_size, id));
        }
        draft.as_mut()
    }

    fn finish(&mut self, draft: BatchDraft<S>) -> Batch<S> {
        let mut batch = self.counters.batch.work(|| draft.finish());
        batch.bad_samples = std::mem::take(&mut self.bad_samples);
        batch
    }

    /// Counts and reports a bad sample.
    fn report(&mut self, sample: BadSample) -> Result<()> {
        tracing::debug!("bad {sample}");
        self.counters.bad.fetch_add(1, Relaxed);
        self.bad_samples.push(sample.clone());
        self.tally.bad(sample)
    }

    /// Reports successive bad samples up to the one that exceeds the budget. Returns the error that ends the
    /// stream.
    fn give_up(&mut self, first: BadSample, others: Vec<BadSample>) -> Error {
        let (samples, mut last) = (1 + others.len(), first.clone());
        for sample in iter::once(first).chain(others) {
            last.clone_from(&sample);
            if let Err(error) = self.report(sample) {
                return error;
            }
        }
        Error::NoneGood { samples, last }
    }
}

/// Receives the next message; `None` when the other side or the loader hung up.
fn receive<T>(from: &Receiver<T>, hangup: &Receiver<Infallible>) -> Option<T> {
    select! {
        recv(from) -> message => message.ok(),
        recv(hangup) -> _ => None,
    }
}

/// A queue that puts answers into the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The number of the first entry.
    first: u64,
    /// Answers that came early, with gaps for those that are still missing.
    answers: VecDeque<Option<Answer>>,
}

impl Queue {
    fn insert(&mut self, answer: Answer) {
        let at = (answer.number - self.first) as usize;
        if at >= self.answers.len() {
            self.answers.resize_with(at + 1, || None);
        }
        self.answers[at] = Some(answer);
    }

    fn pop(&mut self) -> Option<Answer> {
        let answer = self.answers.front_mut()?.take()?;
        self.answers.pop_front();
        self.first += 1;
        Some(answer)
    }
}
