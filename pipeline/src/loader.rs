//! The loader: it starts the threads, yields their batches and joins them.

use std::{
    any::Any,
    convert::Infallible,
    sync::Arc,
    thread::{self, JoinHandle},
};

use crossbeam::{
    channel::{Receiver, Sender, bounded, never},
    select,
};
use shards::{Replacements, Sample, Samples, Stopper};

use crate::{
    BadSample, Batch, Error, LoaderConfig, Recipe, Renderer, Result, SampleSeed, Shape, Slab, Stats,
    batcher::{self, Batcher, Queue},
    replacer::Replacer,
    stats::Counters,
    tally::Tally,
    trace::{self, BatchIds},
    worker::{self, Job},
};

/// An iterator over batches, which are decoded, augmented and assembled by threads of its own.
///
/// Batches do not depend on the number of workers or on timing. After an error the iterator ends. Dropping
/// the loader hangs up on the threads and joins them, which takes as long as the samples in progress, or as
/// long as the source takes for its next sample.
#[derive(Debug)]
pub struct Loader<S: Slab> {
    /// `None` when the stream has ended.
    batches: Option<Receiver<Result<Batch<S>>>>,
    /// Carries no messages: dropping it tells the batching thread that the loader is gone.
    hangup: Option<Sender<Infallible>>,
    /// Ends the reading thread's waiting for a server.
    stopper: Option<Stopper>,
    threads: Vec<JoinHandle<()>>,
    batcher: Option<JoinHandle<Vec<BadSample>>>,
    /// Bad samples after the last batch, known after the threads have ended.
    trailing: Vec<BadSample>,
    counters: Arc<Counters>,
}

impl<S: Slab> Loader<S> {
    /// Starts loading. There must be at least [`LoaderConfig::slabs`] slabs, each large enough for a batch.
    ///
    /// Among the errors in `samples`, [`shards::Error::Sample`] counts as a bad sample; any other ends the
    /// stream. Bad samples are left out.
    ///
    /// # Errors
    /// The configuration cannot work, or a thread cannot be started.
    pub fn spawn(
        samples: impl Iterator<Item = shards::Result<Sample>> + Send + 'static,
        recipe: Recipe,
        slabs: Vec<S>,
        config: &LoaderConfig,
    ) -> Result<Self> {
        config.check(&recipe, &slabs)?;
        Self::spawn_with((samples, None), slabs, config.shapes(&recipe), config, |counters| {
            renderer(recipe.clone(), config, counters)
        })
    }

    /// Starts loading the samples of a set as [`spawn`](Self::spawn) does. If the stream has no end, the next
    /// good sample of its partition takes the place of a bad one, in views of its own, and keeps its own place
    /// as well. So bad samples do not shift the others.
    ///
    /// # Errors
    /// The configuration cannot work, or a thread cannot be started.
    pub fn spawn_replacing(
        samples: Samples,
        recipe: Recipe,
        slabs: Vec<S>,
        config: &LoaderConfig,
    ) -> Result<Self> {
        config.check(&recipe, &slabs)?;
        let (replacements, stopper) = (samples.replacements(), samples.stopper());
        let mut loader =
            Self::spawn_with((samples, replacements), slabs, config.shapes(&recipe), config, |counters| {
                renderer(recipe.clone(), config, counters)
            })?;
        loader.stopper = Some(stopper);
        Ok(loader)
    }

    /// Starts loading batches of the shapes `full`, with one renderer for each worker.
    fn spawn_with<R>(
        (samples, replacements): (
            impl Iterator<Item = shards::Result<Sample>> + Send + 'static,
            Option<Replacements>,
        ),
        slabs: Vec<S>,
        full: Vec<Shape>,
        config: &LoaderConfig,
        renderer: impl Fn(Arc<Counters>) -> R,
    ) -> Result<Self>
    where
        R: FnMut(&Sample, &mut [u8]) -> Result<()> + Send + 'static,
    {
        let (counters, ids) = (Arc::new(Counters::default()), BatchIds::new(config.batch_size));
        let (job_sender, jobs) = bounded(2 * config.workers);
        let (answer_sender, answers) = bounded(2 * config.workers);
        let sample_bytes = full.iter().map(|shape| shape.views * shape.view_bytes()).sum();
        let (spare_sender, spares) = filled(vec![vec![0; sample_bytes]; config.spares()]);
        let (home, slabs) = filled(slabs);
        let (batch_sender, batches) = bounded(config.prefetch);
        let (hangup_sender, hangup) = bounded(0);

        let reader_counters = counters.clone();
        let mut threads = vec![spawn("reader", move || {
            read(samples, &job_sender, &reader_counters, ids);
        })?];
        let replacer = replacements
            .map(|replacements| Arc::new(Replacer::new(replacements, config.max_bad, hangup.clone())));
        for number in 0..config.workers {
            let (spares, jobs, answers) = (spares.clone(), jobs.clone(), answer_sender.clone());
            let ends = worker::Ends { spares, jobs, answers };
            let (counters, render) = (counters.clone(), renderer(counters.clone()));
            let replacer = replacer.clone();
            threads.push(spawn(&format!("decode-{number}"), move || {
                worker::run(ends, &counters, ids, replacer.as_deref(), render);
            })?);
        }
        let ends =
            batcher::Ends { answers, spares: spare_sender, slabs, home, batches: batch_sender, hangup };
        let batcher = Batcher {
            ends,
            counters: counters.clone(),
            full,
            batch_size: config.batch_size,
            drop_last: config.drop_last,
            tally: Tally::new(config.max_bad),
            queue: Queue::default(),
            ids,
            begun: 0,
            bad_samples: Vec::new(),
        };
        let batcher = Some(spawn("batch", move || batcher.run())?);
        let (batches, hangup, trailing) = (Some(batches), Some(hangup_sender), Vec::new());
        Ok(Self { batches, hangup, stopper: None, threads, batcher, trailing, counters })
    }

    /// Returns the next batch; `None` at the end of the stream, or if `stop` is disconnected first.
    pub fn next_unless(&mut self, stop: &Receiver<Infallible>) -> Option<Result<Batch<S>>> {
        let batches = self.batches.as_ref()?;
        trace::depth("batches in host memory", batches.len());
        let received = select! {
            recv(batches) -> batch => batch,
            recv(stop) -> _ => return None,
        };
        match received {
            Ok(Ok(batch)) => Some(Ok(batch)),
            Ok(Err(error)) => {
                self.batches = None;
                Some(Err(error))
            }
            Err(_) => self.join().err().map(Err),
        }
    }

    /// Returns the number of batches that are ready.
    pub fn ready(&self) -> usize {
        self.batches.as_ref().map_or(0, Receiver::len)
    }

    /// Returns the counts and times of all threads so far.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Ends the loader and returns the bad samples that no batch has reported.
    ///
    /// If the iterator has ended, by an error or not, these are the ones after the last batch.
    pub fn finish(mut self) -> Vec<BadSample> {
        // The iterator has reported a panic that mattered.
        drop(self.join());
        std::mem::take(&mut self.trailing)
    }

    /// Hangs up and joins the threads.
    ///
    /// # Errors
    /// [`Error::Thread`] for a thread that panicked.
    fn join(&mut self) -> Result<()> {
        (self.batches, self.hangup) = (None, None);
        if let Some(stopper) = &self.stopper {
            stopper.stop(); // the reader may wait for a server
        }
        let batcher = self.batcher.take().map(join).transpose();
        let threads: Vec<Result<()>> = self.threads.drain(..).map(join).collect();
        self.trailing.extend(batcher?.into_iter().flatten());
        threads.into_iter().collect()
    }
}

impl<S: Slab> Iterator for Loader<S> {
    type Item = Result<Batch<S>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_unless(&never())
    }
}

impl<S: Slab> Drop for Loader<S> {
    fn drop(&mut self) {
        // A panic can no longer be reported.
        drop(self.join());
    }
}

/// Runs the reading thread: sends samples until they end or the receivers are dropped.
fn read(
    mut samples: impl Iterator<Item = shards::Result<Sample>>,
    jobs: &Sender<Job>,
    counters: &Counters,
    ids: BatchIds,
) {
    let mut number = 0;
    trace::about(ids.of_sample(number));
    while let Some(sample) = counters.read.work(|| samples.next()) {
        trace::depth("samples to decode", jobs.len());
        if !counters.read.output(|| jobs.send(Job { number, sample }).is_ok()) {
            return;
        }
        number += 1;
        trace::about(ids.of_sample(number));
    }
}

/// Makes the function of a worker that decodes and augments, with memory of its own.
fn renderer(
    recipe: Recipe,
    config: &LoaderConfig,
    counters: Arc<Counters>,
) -> impl FnMut(&Sample, &mut [u8]) -> Result<()> + Send + use<> {
    let mut renderer = Renderer::new(recipe, config.decode, config.max_pixels);
    let seed = config.seed;
    move |sample: &Sample, views: &mut [u8]| {
        let seed = SampleSeed { seed, epoch: sample.epoch, index: sample.index };
        counters
            .decode
            .work(|| sample.image.read(|bytes| renderer.decode(bytes, seed)).map_err(Error::Read)?)?;
        counters.augment.work(|| renderer.render(views));
        Ok(())
    }
}

/// Makes a channel that holds all of `items` and has no further room.
fn filled<T>(items: Vec<T>) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = bounded(items.len());
    for item in items {
        sender.try_send(item).expect("the channel has room for every item");
    }
    (sender, receiver)
}

fn spawn<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|source| Error::Spawn { thread: name.to_owned(), source })
}

fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    let thread = handle.thread().name().unwrap_or_default().to_owned();
    handle.join().map_err(|panic| Error::Thread { thread, message: message(&*panic) })
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use shards::{Encoded, Position};

    use super::*;

    fn sample(index: u64) -> Sample {
        let (shard, key) = ("train-007.tar".into(), format!("{index:04}"));
        let next = Position { epoch: 0, offset: index + 1 };
        Sample { shard, key, offset: 512, index, epoch: 0, image: Encoded::default(), label: None, next }
    }

    #[test]
    fn a_panicking_worker_ends_the_stream_with_the_name_of_its_sample() {
        let config = LoaderConfig { workers: 3, batch_size: 4, ..LoaderConfig::default() };
        let full = Shape { views: 1, samples: 4, side: 2 };
        let slabs = vec![vec![0; full.bytes()]; config.slabs()];
        let samples = (0..).map(|index| Ok(sample(index)));
        let loader = Loader::spawn_with((samples, None), slabs, vec![full], &config, |_| {
            |sample: &Sample, views: &mut [u8]| {
                assert!(sample.index != 9, "this worker panics on purpose");
                views.fill(sample.index as u8);
                Ok(())
            }
        });
        let results: Vec<_> = loader.unwrap().collect();
        assert_eq!(results.len(), 3);
        assert_eq!(results[1].as_ref().unwrap().view(0)[11..13], [4, 5]);
        let error = results[2].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("a worker panicked on sample `0009`, shard `train-007.tar`"), "{error}");
    }
}
