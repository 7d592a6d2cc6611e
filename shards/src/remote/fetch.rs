//! Fetching of parts: a queue in the order of need, and tasks that work it off.

use std::{
    collections::{HashMap, VecDeque},
    io,
    ops::Range,
    pin::pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::{self, Either};
use tokio::{sync::Semaphore, task, time::sleep};

use super::{
    cache::{Lock, PartId, Pin},
    failure::{Failure, FailureKind},
    link::{Link, unavailable},
    object::{Object, Version},
    traffic::add,
};
use crate::{Result, Shard, Traffic};

/// The bytes of a block, the unit in which a shard without an index is read.
pub(super) const BLOCK: u64 = 8 << 20;
/// The most KB that are fetched at a time.
const AT_A_TIME: usize = 256 << 10;
/// The time between two looks at what another process fetches, or whether the reading is over.
const LOOK: Duration = Duration::from_millis(20);

/// Fetches parts of objects, each once at a time.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(super) link: Arc<Link>,
    queue: Mutex<Queue>,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arc<Job>>,
    /// The jobs that wait, run, or keep a block that the cache has no room for.
    jobs: HashMap<PartId, Weak<Job>>,
    /// The number of tasks.
    tasks: usize,
}

/// A part of a version of an object.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) object: Object,
    pub(super) version: Version,
    pub(super) range: Range<u64>,
    /// Whether it is a block: it is kept only where there is room.
    pub(super) is_block: bool,
}

impl Target {
    fn id(&self) -> PartId {
        PartId::new(&self.object.address.shown, self.version.stamp(), &self.range)
    }
}

/// A part that is being fetched, or will be.
#[derive(Debug)]
struct Job {
    target: Target,
    outcome: Mutex<Option<Outcome>>,
    done: Condvar,
    /// The number of those who need it. Without any, it is not begun.
    users: AtomicUsize,
    /// The number of those of them who wait for it now.
    waiters: AtomicUsize,
}

#[derive(Debug, Clone)]
enum Outcome {
    Stored,
    /// The cache has no room.
    Memory(Bytes),
    /// The cache has no room, and nobody waits for it now.
    NoRoom,
    Failed(Failure),
}

/// A use of a job.
#[derive(Debug)]
struct Use(Arc<Job>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Relaxed);
    }
}

/// A part that is wanted: it is fetched unless nobody wants it any more, and stays in the cache.
#[derive(Debug)]
pub(super) struct Claim {
    _pin: Option<Pin>,
    _use: Option<Use>,
}

impl Fetcher {
    pub(crate) fn new(link: Arc<Link>) -> Arc<Self> {
        Arc::new(Self { link, queue: Mutex::default(), room: Semaphore::new(AT_A_TIME) })
    }

    /// Returns what was read from servers.
    pub(crate) fn traffic(&self) -> Traffic {
        self.link.counters.traffic()
    }

    /// Reads a list of patterns on a server. Relative lines begin at the list's folder.
    ///
    /// # Errors
    /// There is no such list, or it is not one.
    pub(crate) fn lines(&self, url: &str) -> Result<Vec<String>> {
        self.link.lines(url)
    }

    /// Begins to fetch a part after those that were wanted before, unless it is in the cache.
    pub(super) fn want(self: &Arc<Self>, target: Target) -> Claim {
        let id = target.id();
        let (pin, is_there) = match &self.link.cache {
            Some(cache) => (Some(cache.pin(id)), cache.has(id)),
            None => (None, false),
        };
        if is_there {
            add(&self.link.counters.hits, 1);
        }
        Claim { _pin: pin, _use: (!is_there).then(|| self.enqueue(target, false)) }
    }

    /// Opens a part, waiting for it at most until `is_over` is set.
    ///
    /// # Errors
    /// See [`Parts::open`](crate::Parts::open).
    pub(super) fn open(self: &Arc<Self>, target: Target, is_over: &AtomicBool) -> io::Result<Shard> {
        let (id, stamp) = (target.id(), target.version.stamp());
        let cached = || match &self.link.cache {
            Some(cache) => cache.part(id, stamp),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let begin = Instant::now();
        loop {
            match cached() {
                Ok(part) => return Ok(part),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    add(&self.link.counters.damaged, 1);
                }
                Err(_) => {}
            }
            let job = self.enqueue(target.clone(), true);
            let outcome = job.0.wait(is_over);
            match outcome {
                None => {
                    let over = Failure::new(FailureKind::Final, "the reading is over", None);
                    return Err(error_of(over, &target.object));
                }
                Some(Outcome::Memory(bytes)) => {
                    add(&self.link.counters.waited_ns, begin.elapsed().as_nanos() as u64);
                    return Ok(Shard::part_in_memory(bytes, id.start, stamp));
                }
                Some(Outcome::Failed(failure)) => return Err(error_of(failure, &target.object)),
                // Another process may remove it at once: then it is fetched again.
                Some(Outcome::Stored | Outcome::NoRoom) => {
                    add(&self.link.counters.waited_ns, begin.elapsed().as_nanos() as u64);
                }
            }
        }
    }

    /// Returns the job of a part, which is put at the end of the queue, or before all others if it is needed now.
    fn enqueue(self: &Arc<Self>, target: Target, is_needed_now: bool) -> Use {
        let mut queue = self.queue();
        let Queue { waiting, jobs, tasks } = &mut *queue;
        let known = jobs.get(&target.id()).and_then(Weak::upgrade);
        let is_new = known.is_none();
        let job = known.unwrap_or_else(|| {
            let (id, job) = (target.id(), Arc::new(Job::new(target)));
            jobs.insert(id, Arc::downgrade(&job));
            job
        });
        job.users.fetch_add(1, Relaxed);
        if is_new && !is_needed_now {
            waiting.push_back(Arc::clone(&job));
        } else if is_new {
            waiting.push_front(Arc::clone(&job));
        } else if is_needed_now
            && let Some(at) = waiting.iter().position(|other| Arc::ptr_eq(other, &job))
            && let Some(job) = waiting.remove(at)
        {
            waiting.push_front(job);
        }
        if *tasks < self.link.config.connections.max(1) && !waiting.is_empty() {
            *tasks += 1;
            self.link.handle().spawn(work(Arc::clone(self)));
        }
        Use(job)
    }

    /// Takes the next job that somebody still needs; `None` ends the task.
    fn next(&self) -> Option<Arc<Job>> {
        let mut queue = self.queue();
        while let Some(job) = queue.waiting.pop_front() {
            if job.is_used() {
                return Some(job);
            }
            queue.jobs.remove(&job.target.id());
        }
        queue.tasks -= 1;
        queue.jobs.retain(|_, job| job.strong_count() > 0);
        None
    }

    /// Forgets a job that nobody needs. Returns false if somebody does.
    fn is_abandoned(&self, job: &Job) -> bool {
        let mut queue = self.queue();
        if job.is_used() {
            return false;
        }
        queue.jobs.remove(&job.target.id());
        true
    }

    /// Ends a job. Only blocks are kept in memory for those who want them later: there are few of them.
    fn finish(&self, job: &Job, mut outcome: Outcome) {
        let mut queue = self.queue();
        let is_kept = job.target.is_block && matches!(outcome, Outcome::Memory(_));
        if !is_kept {
            queue.jobs.remove(&job.target.id());
            if matches!(outcome, Outcome::Memory(_)) && job.waiters.load(Relaxed) == 0 {
                outcome = Outcome::NoRoom;
            }
        }
        drop(queue);
        *job.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        job.done.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn new(target: Target) -> Self {
        Self {
            target,
            outcome: Mutex::default(),
            done: Condvar::new(),
            users: AtomicUsize::new(0),
            waiters: AtomicUsize::new(0),
        }
    }

    fn is_used(&self) -> bool {
        self.users.load(Relaxed) > 0
    }

    /// Waits for the outcome; `None` once `is_over` is set.
    fn wait(&self, is_over: &AtomicBool) -> Option<Outcome> {
        self.waiters.fetch_add(1, Relaxed);
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        while outcome.is_none() && !is_over.load(Relaxed) {
            (outcome, _) = self.done.wait_timeout(outcome, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiters.fetch_sub(1, Relaxed);
        outcome.clone()
    }
}

/// Works off the queue, until it is empty.
async fn work(fetcher: Arc<Fetcher>) {
    while let Some(job) = fetcher.next() {
        loop {
            let abandoned = async {
                while job.is_used() {
                    sleep(LOOK).await;
                }
            };
            match future::select(pin!(fetcher.fetch(&job.target)), pin!(abandoned)).await {
                Either::Left((outcome, _)) => {
                    fetcher.finish(&job, outcome);
                    break;
                }
                Either::Right(_) if fetcher.is_abandoned(&job) => break,
                Either::Right(_) => {} // somebody needs it again
            }
        }
    }
}

impl Fetcher {
    /// Brings a part into the cache.
    async fn fetch(&self, target: &Target) -> Outcome {
        let id = target.id();
        let Some(cache) = &self.link.cache else { return self.download(target).await };
        // Another process may fetch the same part.
        let _lock = loop {
            match cache.try_lock(id) {
                Lock::Taken => sleep(LOOK).await,
                lock @ Lock::Held(_) => break lock,
            }
        };
        if cache.has(id) {
            add(&self.link.counters.hits, 1);
            return Outcome::Stored;
        }
        let content = match self.of_blocks(target) {
            Some(content) => {
                add(&self.link.counters.hits, 1);
                content
            }
            None => match self.download(target).await {
                Outcome::Memory(content) => content,
                other => return other,
            },
        };
        let store = || cache.store(id, &content, target.is_block);
        if task::block_in_place(store) { Outcome::Stored } else { Outcome::Memory(content) }
    }

    async fn download(&self, target: &Target) -> Outcome {
        let kilobytes = ((target.range.end - target.range.start) >> 10).clamp(1, AT_A_TIME as u64) as u32;
        let _room = self.room.acquire_many(kilobytes).await;
        add(&self.link.counters.misses, 1);
        match self.link.range(&target.object, &target.version, target.range.clone()).await {
            Ok(bytes) => Outcome::Memory(bytes),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Joins a part from the blocks that were kept when the shard was read for its index.
    fn of_blocks(&self, target: &Target) -> Option<Bytes> {
        let cache = self.link.cache.as_ref().filter(|_| !target.is_block)?;
        let Range { start, end } = target.range;
        let blocks: Vec<_> =
            (start / BLOCK..end.div_ceil(BLOCK)).map(|number| target.block(number)).collect();
        if !blocks.iter().all(|block| cache.has(block.id())) {
            return None;
        }
        let mut joined = BytesMut::with_capacity((end - start) as usize);
        for block in blocks {
            let own = start.max(block.range.start)..end.min(block.range.end);
            let part = cache.part(block.id(), block.version.stamp()).ok()?;
            joined.extend_from_slice(&part.slice(own).ok()?);
        }
        Some(joined.freeze())
    }
}

impl Target {
    /// Returns a block of the same object.
    pub(super) fn block(&self, number: u64) -> Self {
        let range = number * BLOCK..((number + 1) * BLOCK).min(self.version.size);
        Self { range, is_block: true, ..self.clone() }
    }
}

/// Makes the error of a part that cannot be had. What concerns the object alone is a fault of its samples.
fn error_of(failure: Failure, object: &Object) -> io::Error {
    match failure.kind {
        FailureKind::Absent => {
            io::Error::new(io::ErrorKind::NotFound, "it was removed from the server while it was in use")
        }
        FailureKind::Replaced => io::Error::other("it was replaced on the server while it was in use"),
        FailureKind::Passing | FailureKind::Denied | FailureKind::Final => {
            io::Error::other(unavailable(&object.address, failure))
        }
    }
}
