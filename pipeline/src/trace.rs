//! Spans of time that threads note while a trace is recorded.
//!
//! While none is, noting costs one relaxed load. Each thread notes into memory of its own, of a fixed size: what finds no
//! room is counted and left out.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

/// What a thread did for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What it did.
    pub name: &'static str,
    /// The batch for which it did it, as [`Batch::id`](crate::Batch::id); 0 for none.
    pub batch: u64,
    /// When it began.
    pub begin: Instant,
    /// When it had done it.
    pub end: Instant,
}

/// The number of messages in a queue at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// The name of the queue.
    pub queue: &'static str,
    /// The time.
    pub at: Instant,
    /// The number of messages.
    pub depth: usize,
}

/// What a thread has noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// The name of the thread.
    pub thread: String,
    /// What it did, in the order in which it had done it.
    pub spans: Vec<Span>,
    /// Depths of queues.
    pub depths: Vec<Depth>,
    /// The number of spans and depths that found no room.
    pub left_out: u64,
}

/// The most spans, and the most depths, of a track.
const ROOM: usize = 1 << 16;

static IS_ON: AtomicBool = AtomicBool::new(false);
/// Counts traces: a thread begins a track of its own in each.
static TRACE: AtomicU64 = AtomicU64::new(0);
static TRACKS: Mutex<Vec<Arc<Mutex<Track>>>> = Mutex::new(Vec::new());
/// Counts loaders, so that batches of different loaders have different identifiers.
static LOADERS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The trace, and this thread's track in it.
    static OWN: RefCell<(u64, Option<Arc<Mutex<Track>>>)> = const { RefCell::new((0, None)) };
    /// The batch that this thread works for.
    static BATCH: Cell<u64> = const { Cell::new(0) };
}

/// Begins a trace of all threads of this process.
pub fn start() {
    locked(&TRACKS).clear();
    TRACE.fetch_add(1, Relaxed);
    IS_ON.store(true, Relaxed);
}

/// Ends the trace, and returns what each thread has noted. A span under way is left out.
pub fn stop() -> Vec<Track> {
    IS_ON.store(false, Relaxed);
    let tracks = std::mem::take(&mut *locked(&TRACKS));
    tracks.iter().map(|track| std::mem::take(&mut *locked(track))).collect()
}

/// Returns whether a trace is recorded.
pub fn is_on() -> bool {
    IS_ON.load(Relaxed)
}

/// Notes that what this thread does from now on is for a batch.
pub fn about(batch: u64) {
    if is_on() {
        BATCH.set(batch);
    }
}

/// Does some work, and notes how long it takes.
pub fn span<R>(name: &'static str, work: impl FnOnce() -> R) -> R {
    if !is_on() {
        return work();
    }
    let begin = Instant::now();
    let done = work();
    note(name, begin, Instant::now());
    done
}

/// Notes what this thread has done.
pub fn note(name: &'static str, begin: Instant, end: Instant) {
    if is_on() {
        let span = Span { name, batch: BATCH.get(), begin, end };
        with_track(|track| add(&mut track.spans, span, &mut track.left_out));
    }
}

/// Notes the number of messages in a queue.
pub fn depth(queue: &'static str, depth: usize) {
    if is_on() {
        let depth = Depth { queue, at: Instant::now(), depth };
        with_track(|track| add(&mut track.depths, depth, &mut track.left_out));
    }
}

fn add<T>(to: &mut Vec<T>, item: T, left_out: &mut u64) {
    if to.len() < ROOM {
        to.push(item);
    } else {
        *left_out += 1;
    }
}

fn with_track(change: impl FnOnce(&mut Track)) {
    let trace = TRACE.load(Relaxed);
    OWN.with_borrow_mut(|(of, track)| {
        if *of != trace || track.is_none() {
            let thread = thread::current().name().unwrap_or("without a name").to_owned();
            let new = Arc::new(Mutex::new(Track { thread, ..Track::default() }));
            locked(&TRACKS).push(new.clone());
            (*of, *track) = (trace, Some(new));
        }
        if let Some(track) = track {
            change(&mut locked(track));
        }
    });
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Identifiers of a loader's batches, which no other loader of this process has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchIds {
    first: u64,
    samples: u64,
}

impl BatchIds {
    /// Returns the identifiers of a new loader, for batches of so many samples.
    pub(crate) fn new(samples: usize) -> Self {
        let loader = LOADERS.fetch_add(1, Relaxed);
        Self { first: (loader << 32) + 1, samples: samples.max(1) as u64 }
    }

    /// Returns the identifier of batch `number`, from 0 on.
    pub(crate) fn of_batch(self, number: u64) -> u64 {
        self.first + number
    }

    /// Returns the identifier of the batch in which sample `number` of the loader will be, unless bad ones before it are
    /// left out.
    pub(crate) fn of_sample(self, number: u64) -> u64 {
        self.of_batch(number / self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_note_what_they_do_while_a_trace_is_recorded() {
        assert_eq!(span("before", || 1), 1);
        start();
        about(7);
        span("outer", || span("inner", || ()));
        depth("jobs", 3);
        let noted = thread::Builder::new().name("other".to_owned()).spawn(|| {
            for _ in 0..ROOM + 5 {
                span("many", || ());
            }
        });
        noted.unwrap().join().unwrap();
        let tracks = stop();
        span("after", || ());
        let own = tracks.iter().find(|track| track.thread != "other").unwrap();
        let names: Vec<_> = own.spans.iter().map(|span| (span.name, span.batch)).collect();
        assert_eq!(names, [("inner", 7), ("outer", 7)]);
        assert!(own.spans[1].begin <= own.spans[0].begin && own.spans[0].end <= own.spans[1].end);
        assert_eq!((own.depths[0].queue, own.depths[0].depth), ("jobs", 3));
        let other = tracks.iter().find(|track| track.thread == "other").unwrap();
        assert_eq!((other.spans.len(), other.left_out, other.spans[0].batch), (ROOM, 5, 0));
        start();
        assert!(stop().is_empty());
    }

    #[test]
    fn batches_of_different_loaders_have_different_identifiers() {
        let (one, other) = (BatchIds::new(4), BatchIds::new(4));
        assert_eq!(one.of_sample(7), one.of_batch(1));
        assert!(one.of_batch(0) > 0 && other.of_batch(0) > one.of_batch(1 << 20));
    }
}
