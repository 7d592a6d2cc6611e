//! Memory, threads and open files over a long run.

use std::fs;

use crate::{
    amount,
    support::Place,
    watched::{Watched, last_step},
};

const BATCH: usize = 16;
/// Bytes of a batch of two views.
const BATCH_BYTES: usize = 2 * BATCH * 3 * 32 * 32;

/// A figure of a process in kB, from its status.
pub(crate) fn kilobytes(process: &str, name: &str) -> u64 {
    status(process, name).unwrap_or(0)
}

fn status(process: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What a process has at a moment.
#[derive(Debug, Clone, Copy)]
struct Holding {
    step: usize,
    resident_kb: u64,
    threads: u64,
    files: u64,
}

impl Holding {
    fn of(process: &str, step: usize) -> Option<Self> {
        Some(Self {
            step,
            resident_kb: status(process, "VmRSS")?,
            threads: status(process, "Threads")?,
            files: fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64,
        })
    }
}

/// Trains and looks at the process every few steps after the warm-up.
fn observe(place: &Place, pattern: &str, more: &[&str], warm_up: usize, every: usize) -> Vec<Holding> {
    let run = place.path("run");
    let mut child = Watched::start(&mut place.train(pattern, "run", more));
    let (id, mut next, mut held) = (child.id().to_string(), warm_up, Vec::new());
    child.until(|| {
        let step = last_step(&run) as usize;
        if step >= next
            && let Some(holding) = Holding::of(&id, step)
        {
            held.push(holding);
            next = step + every;
        }
        false
    });
    child.wait().assert_done();
    held
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Memory stays where it was, and threads and files do not become more. Returns how far memory lay from its
/// median, in percent.
fn assert_flat(held: &[Holding], what: &str) -> f64 {
    assert!(held.len() >= 8, "{what}: only {} looks", held.len());
    let resident = |part: &[Holding]| part.iter().map(|now| now.resident_kb).collect::<Vec<_>>();
    let middle = median(resident(held));
    let off = held.iter().map(|now| now.resident_kb.abs_diff(middle)).max().unwrap();
    let off = 100.0 * off as f64 / middle as f64;
    let (early, late) = (&held[..held.len() / 4], &held[held.len() - held.len() / 4..]);
    let grown = median(resident(late)).saturating_sub(median(resident(early)));
    // One view of every batch, if it were kept, would show.
    let steps = late[0].step - early[0].step;
    let leak = (steps * BATCH_BYTES / 2) as u64 >> 10;
    assert!(grown < leak, "{what}: {grown} kB more after {steps} steps: {held:?}");
    assert!(off < amount(10, 2) as f64, "{what}: {off:.1} % from the median: {held:?}");
    // Files are open for moments while a checkpoint is written: the fewest count.
    let least = |part: &[Holding], of: fn(&Holding) -> u64| part.iter().map(of).min().unwrap();
    for of in [|now: &Holding| now.threads, |now: &Holding| now.files] {
        assert!(least(late, of) <= least(early, of), "{what}: {held:?}");
    }
    off
}

#[test]
fn memory_threads_and_files_stay_flat_over_many_batches() {
    let place = Place::new();
    let pattern = place.shards("train", 4, 100);
    let (batches, warm_up) = (amount(200, 2_000), amount(60, 200));
    let steps = (batches + warm_up).to_string();
    let more = ["--steps", &steps, "--checkpoint-every", "50"];
    let held = observe(&place, &pattern, &more, warm_up, batches / 50);
    let off = assert_flat(&held, "batches");
    let last = held.last().unwrap();
    println!(
        "memory over {batches} batches: within {off:.2} % of {} MB; {} threads, {} files, no more at the end than before",
        median(held.iter().map(|now| now.resident_kb).collect()) >> 10,
        last.threads,
        last.files
    );
}

#[test]
fn memory_threads_and_files_stay_flat_over_many_epochs() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 80);
    let validation = place.shards("val", 1, 20);
    let epochs = amount(20, 60);
    // 160 samples are ten batches an epoch.
    let length = epochs.to_string();
    let more =
        ["--epochs", &length, "--val-shards", &validation, "--validate-every", "1", "--knn-every", "5"];
    let held = observe(&place, &pattern, &more, amount(50, 200), 5);
    let off = assert_flat(&held, "epochs");
    println!(
        "memory over {epochs} epochs with validations: within {off:.2} %; threads and files no more at the end than before"
    );
}
