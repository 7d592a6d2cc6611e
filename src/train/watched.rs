//! A run whose watchers are slow: the same parameters, bounded memory, and a word on what they have missed.

use std::{
    convert::Infallible,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crossbeam::channel::{self, Receiver};

use super::{Run, RunOutcome, displays::Displays, ranks, tiny};
use crate::{
    checkpoint::Named,
    metrics::Record,
    observe::{
        Observer, Watcher,
        prometheus::{About, State},
    },
    run::{folder::RunFolder, stop::Stop},
};

/// Steps of a run: each is two events, and 1,024 can be under way.
const STEPS: u64 = 700;
/// The most bytes of memory that a run may take for those that watch it.
const MOST: u64 = 8_000_000;

/// Takes 100 ms for each of some records, and for the next one until the run is over.
struct Slow {
    patience: u64,
    over: Receiver<Infallible>,
    told: Arc<AtomicU64>,
}

impl Watcher for Slow {
    fn record(&mut self, _record: &Record) {
        if self.told.fetch_add(1, Relaxed) < self.patience {
            let _ = self.over.recv_timeout(Duration::from_millis(100));
        } else {
            let _ = self.over.recv();
        }
    }
}

/// The messages of this process.
static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Said;

impl Write for Said {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        SAID.lock().unwrap().write(message)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a run that records every step.
fn run(place: &Path) -> (Run, RunFolder) {
    let (mut run, folder) = tiny::run(place);
    run.config.run.log_every = 1;
    (run.config.run.checkpoint_every, run.config.run.validate_every) = (STEPS, STEPS);
    run.steps = STEPS;
    (run, folder)
}

/// Trains, and returns the parameters and the moments of the optimizer.
fn trained(mut run: Run, folder: &RunFolder, displays: Displays) -> [Vec<u8>; 2] {
    assert_eq!(run.train(folder, &Stop::at(None), displays).unwrap(), RunOutcome::Finished);
    let files = ["model.safetensors", "optimizer.safetensors"];
    files.map(|name| std::fs::read(folder.path.join(format!("checkpoints/step-{STEPS:08}/{name}"))).unwrap())
}

fn peak() -> u64 {
    torchkit::resident_memory().unwrap().peak
}

/// Compares a run with one that is watched too slowly. The first one decides how much memory training takes.
fn compare() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (alone, folder) = run(first.path());
    let expected = trained(alone, &folder, Displays::default());
    let before = peak();

    let (mut watched, folder) = run(second.path());
    watched.config.run.tensorboard = true; // scores are events, too
    let about = About { method: "", preset: "", precision: "", device: "", steps: STEPS };
    let gauges = Arc::new(State::new(about, 0));
    let (running, over) = channel::bounded(0);
    let told = Arc::new(AtomicU64::new(0));
    let slow = Slow { patience: 30, over, told: told.clone() };
    let observer = Observer::spawn(vec![Box::new(slow)], gauges.clone()).unwrap();
    let displays = Displays { sinks: vec![Box::new(observer)], ..Displays::default() };
    let found = trained(watched, &folder, displays);
    let more = peak().saturating_sub(before);
    drop::<channel::Sender<Infallible>>(running);

    assert!(found == expected, "the parameters differ");
    assert!(told.load(Relaxed) > 0, "no record has come");
    assert_eq!(crate::metrics::read(&folder.metrics).unwrap().len() as u64, STEPS);
    assert!(more <= MOST, "{more} bytes more");
    let page = gauges.page();
    let dropped = page.lines().find_map(|line| line.strip_prefix("amdim_stream_observer_dropped_total "));
    let dropped: u64 = dropped.unwrap().parse().unwrap();
    // Those that the watcher has taken, and those under way, at most two of each of which have scores.
    assert!(dropped >= 2 * STEPS - 1024 - 2 * 31, "{dropped} were dropped");
    let said = String::from_utf8(SAID.lock().unwrap().clone()).unwrap();
    assert!(said.contains(&format!("({dropped} dropped)")) && said.contains("raise --log-every"), "{said}");
}

/// In a process of its own, whose memory is not that of other tests.
#[test]
fn watchers_that_are_too_slow_cost_a_run_records_of_theirs_and_neither_parameters_nor_memory() {
    let name = "train::watched::watchers_that_are_too_slow_cost_a_run_records_of_theirs_and_neither_parameters_nor_memory";
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Said).finish();
    ranks::run(name, 1, |_| {
        tracing::subscriber::with_default(subscriber, compare);
        Named::new()
    });
}
