//! The thread that passes records on to all that watch a run.

use std::{
    convert::Infallible,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use crossbeam::channel::{self, Receiver, Sender};

use crate::{
    metrics::{Histogram, Made, Record, Sink},
    notice,
    observe::prometheus::State,
};

/// A destination of records that may be slow or fail, on the observer's thread.
pub(crate) trait Watcher: Send {
    /// Takes a record.
    fn record(&mut self, record: &Record);

    /// Takes the scores of a step, by the part of the loss that they belong to.
    fn scores(&mut self, _step: u64, _scores: &Scores) {}
}

/// Histograms of scores, by the part of the loss that they belong to.
pub(crate) type Scores = [(&'static str, Histogram)];

/// What the training thread hands over.
#[derive(Debug)]
enum Event {
    Record(Box<Record>),
    Scores(u64, Box<Scores>),
}

/// Passes records on to watchers, in a thread of its own. Dropping it waits a moment for records under way.
#[derive(Debug)]
pub(crate) struct Observer {
    events: Option<Sender<Event>>,
    gauges: Arc<State>,
    /// The number of events that found the channel full.
    dropped: u64,
    /// The time of the last step, if no validation followed it.
    stepped: Option<Instant>,
    /// Disconnects when the thread has ended.
    ended: Receiver<Infallible>,
}

impl Observer {
    /// Records that can be under way. A record has some 500 bytes.
    const ROOM: usize = 1024;
    /// The time that the end of a run waits for the watchers.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// Starts the thread. Steps, and what the thread could not take, are counted in `gauges`.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub(crate) fn spawn(mut watchers: Vec<Box<dyn Watcher>>, gauges: Arc<State>) -> Result<Self> {
        let (sender, events) = channel::bounded::<Event>(Self::ROOM);
        let (ending, ended) = channel::bounded(0);
        let run = move || {
            for event in events {
                watchers.retain_mut(|watcher| is_told(watcher.as_mut(), &event));
            }
            drop(watchers); // a server says good-bye
            drop::<Sender<Infallible>>(ending);
        };
        let spawned = thread::Builder::new().name("observer".to_owned()).spawn(run);
        spawned.context("cannot start the thread that watches the run")?;
        Ok(Self { events: Some(sender), gauges, dropped: 0, stepped: None, ended })
    }

    fn send(&mut self, event: Event) {
        if self.events.as_ref().is_none_or(|events| events.try_send(event).is_err()) {
            self.dropped += 1;
            self.gauges.dropped(1);
        }
    }
}

/// Tells a watcher of an event. Returns whether it goes on.
fn is_told(watcher: &mut dyn Watcher, event: &Event) -> bool {
    let told = panic::catch_unwind(AssertUnwindSafe(|| match event {
        Event::Record(record) => watcher.record(record),
        Event::Scores(step, scores) => watcher.scores(*step, scores),
    }));
    if told.is_err() {
        tracing::warn!("what watches the run has panicked (above) and is given up; training goes on");
    }
    told.is_ok()
}

impl Sink for Observer {
    fn step(&mut self, made: Made) {
        let now = Instant::now();
        let since = self.stepped.replace(now).map(|before| (now - before).as_secs_f64());
        self.gauges.step(made.step, made.images, since);
        self.gauges.queue_depth("copy", made.ready);
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        if record.validation().is_some() {
            self.stepped = None; // the time of a validation is not that of a step
        }
        self.send(Event::Record(Box::new(record.clone())));
        Ok(())
    }

    fn scores(&mut self, step: u64, scores: &Scores) {
        self.send(Event::Scores(step, scores.into()));
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.events = None;
        let is_late = self.ended.recv_timeout(Self::PATIENCE) == Err(channel::RecvTimeoutError::Timeout);
        let dropped = self.dropped;
        if is_late || dropped > 0 {
            let what = if is_late { "the last records" } else { "some records" };
            let warning = notice!(
                "what watches the run is slower than the run, and has not got {what} ({dropped} dropped); `metrics.jsonl` has all of \
                 them";
                "raise --log-every"
            );
            tracing::warn!("{warning}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{metrics::TrainRecord, observe::prometheus::About};

    /// Notes steps, and takes as long for each as a lock is held.
    struct Slow {
        steps: Arc<Mutex<Vec<u64>>>,
        gate: Receiver<()>,
    }

    impl Watcher for Slow {
        fn record(&mut self, record: &Record) {
            let _ = self.gate.recv();
            self.steps.lock().unwrap().push(record.step());
        }
    }

    fn record(step: u64) -> Record {
        Record::Train(Box::new(TrainRecord { step, ..TrainRecord::default() }))
    }

    /// Panics at the first record.
    struct Panicking;

    impl Watcher for Panicking {
        fn record(&mut self, _record: &Record) {
            panic!("a watcher");
        }
    }

    #[test]
    fn a_watcher_that_panics_leaves_the_others() {
        let about = About { method: "", preset: "", precision: "", device: "", steps: 1 };
        let steps = Arc::new(Mutex::new(Vec::new()));
        let watcher = Slow { steps: steps.clone(), gate: channel::bounded(0).1 };
        let watchers: Vec<Box<dyn Watcher>> = vec![Box::new(Panicking), Box::new(watcher)];
        let mut observer = Observer::spawn(watchers, Arc::new(State::new(about, 0))).unwrap();
        for step in 1..=3 {
            observer.write(&record(step)).unwrap();
        }
        drop(observer);
        assert_eq!(*steps.lock().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_watcher_that_stands_still_costs_records_but_never_holds_up_the_run() {
        let about = About { method: "", preset: "", precision: "", device: "", steps: 1 };
        let (steps, gauges) = (Arc::new(Mutex::new(Vec::new())), Arc::new(State::new(about, 0)));
        let (open, gate) = channel::bounded(0);
        let watcher = Slow { steps: steps.clone(), gate };
        let mut observer = Observer::spawn(vec![Box::new(watcher)], gauges.clone()).unwrap();
        let written = Observer::ROOM as u64 + 100;
        for step in 0..written {
            observer.write(&record(step)).unwrap();
        }
        let lost = observer.dropped;
        assert!((99..=100).contains(&lost), "{lost} records were dropped");
        assert!(gauges.page().contains(&format!("amdim_stream_observer_dropped_total {lost}\n")));
        drop(open); // the watcher goes on
        drop(observer);
        let steps = steps.lock().unwrap();
        assert_eq!(steps.len() as u64 + lost, written);
        assert!(steps.is_sorted());
    }
}
