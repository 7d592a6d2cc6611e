//! Samples in order, read ahead by tokio tasks.

use std::{collections::VecDeque, panic, sync::Arc, vec};

use async_channel::{Receiver, Sender};
use tokio::{
    runtime::{Builder, Runtime},
    task::{self, JoinError, JoinHandle},
};

use super::{
    catalog::Catalog,
    reader::{Reader, TASKS},
    replacements::Replacements,
    scout::Scout,
};
use crate::{Division, Error, Order, Position, Result, Sample, division::Route};

/// The number of blocks that wait, read, to be taken.
const READY: usize = 2;

/// The samples of one rank in order, read ahead by a few threads.
///
/// A sample that cannot be read is yielded in its place as [`Error::Sample`], and the stream goes on; any
/// other error is the last item. Dropping the stream ends the reading and waits for it, which must not happen
/// inside of an async runtime.
#[derive(Debug)]
pub struct Samples {
    block: vec::IntoIter<Result<Sample>>,
    /// The blocks to come; `None` after the last one.
    blocks: Option<Receiver<Block>>,
    reader: Option<Arc<Reader>>,
    /// Dropped last: waits for reads that are under way.
    _runtime: Option<Runtime>,
}

/// Ends the waiting of a stream of samples for servers.
#[derive(Debug, Clone)]
pub struct Stopper(Option<Arc<Reader>>);

impl Stopper {
    /// Lets the stream end with an error at the next sample that is not there yet, instead of waiting for it. Does
    /// nothing to a stream of files.
    pub fn stop(&self) {
        if let Some(reader) = &self.0 {
            reader.end();
        }
    }
}

type Block = Result<Vec<Result<Sample>>, JoinError>;

impl Samples {
    pub(super) fn spawn(catalog: Arc<Catalog>, order: Order, division: Division, from: Position) -> Self {
        Self::try_spawn(catalog, order, division, from).unwrap_or_else(|error| Self {
            block: vec![Err(error)].into_iter(),
            blocks: None,
            reader: None,
            _runtime: None,
        })
    }

    fn try_spawn(catalog: Arc<Catalog>, order: Order, division: Division, from: Position) -> Result<Self> {
        let route = Route::new(order, division, from, catalog.len())?;
        // A stream with an end, such as that of a validation, reads everything once: at worst, a part is fetched again.
        if let Some(parts) = catalog.source.parts() {
            let required = parts.require(catalog.needed(route.sequence().window()));
            if route.sequence().is_endless() {
                required?;
            }
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(TASKS)
            .thread_name("shards-readahead")
            .build()
            .map_err(|source| Error::Threads { source })?;
        let (sender, blocks) = async_channel::bounded(READY);
        let reader = Arc::new(Reader::new(catalog, route));
        runtime.spawn(read_ahead(Arc::clone(&reader), sender));
        Ok(Self {
            block: Vec::new().into_iter(),
            blocks: Some(blocks),
            reader: Some(reader),
            _runtime: Some(runtime),
        })
    }

    /// Ends the stream. Tasks that wait for a server end, too.
    fn end(&mut self) {
        (self.block, self.blocks) = (Vec::new().into_iter(), None);
        if let Some(reader) = &self.reader {
            reader.end();
        }
    }

    /// Returns a way to end the waiting for servers from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.reader.clone())
    }

    /// Returns the samples that take the places of bad ones. `None` if the stream has an end: bad samples of
    /// such a stream are left out.
    pub fn replacements(&self) -> Option<Replacements> {
        let reader = self.reader.as_ref().filter(|reader| reader.route.sequence().is_endless())?;
        Some(Replacements::new(Arc::clone(reader)))
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.end();
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sample) = self.block.next() {
                if matches!(&sample, Err(error) if !matches!(error, Error::Sample { .. })) {
                    self.end();
                }
                return Some(sample);
            }
            match self.blocks.as_ref()?.recv_blocking() {
                Ok(Ok(block)) => self.block = block.into_iter(),
                Ok(Err(failure)) => panic::resume_unwind(failure.into_panic()),
                Err(_) => self.blocks = None,
            }
        }
    }
}

/// Keeps up to [`TASKS`] blocks being read, and sends them on in order, until all are read or the receiver is
/// dropped.
async fn read_ahead(reader: Arc<Reader>, sender: Sender<Block>) {
    let mut begin = 0;
    let mut scout = Scout::new(Arc::clone(&reader));
    let mut tasks: VecDeque<JoinHandle<Vec<Result<Sample>>>> = VecDeque::with_capacity(TASKS);
    loop {
        while tasks.len() < TASKS && !reader.route.is_over(begin) {
            if let Some(scout) = &mut scout {
                scout.advance(begin);
            }
            let plan = reader.plan(begin);
            begin = plan.end;
            let reader_of_task = Arc::clone(&reader);
            tasks.push_back(task::spawn_blocking(move || reader_of_task.block(&plan)));
        }
        let Some(first) = tasks.pop_front() else { return };
        if sender.send(first.await).await.is_err() {
            return;
        }
    }
}
