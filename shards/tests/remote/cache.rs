//! The cache on disk.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use shards::{Error, Order, RemoteConfig, Shuffle};

use super::{
    place::{Place, good, mixed, open, read},
    traffic::write_indices,
};

fn parts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let inner = fs::read_dir(entry.path()).unwrap().filter_map(Result::ok).map(|entry| entry.path());
        found.extend(inner.filter(|path| path.to_string_lossy().contains(".part")));
    }
    found.sort();
    found
}

fn used(folder: &Path) -> u64 {
    parts(folder).iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Returns an order without an end, as that of training.
fn endless() -> Order {
    Order { epochs: None, ..mixed(1) }
}

#[test]
fn the_cache_of_two_readers_keeps_its_limit() {
    let place = Place::new(&[1280, 1280], 1500);
    write_indices(&place, 2);
    let order = mixed(2);
    let expected = place.local(&order);
    let cache = tempfile::tempdir().unwrap();
    let limit = place.bytes() / 4;
    let (most, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                most.fetch_max(used(cache.path()), Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let config = RemoteConfig { limit: Some(limit), ..place.config(&cache) };
                    let set = open(config, &place.pattern("s3", 2)).unwrap();
                    good(read(&set, &order)) == expected
                })
            })
            .collect();
        let same = readers.into_iter().all(|reader| reader.join().unwrap());
        is_over.store(true, Relaxed);
        assert!(same);
    });
    // A look at the folder takes time, in which parts come and go.
    let slack = 2 * 8 * 32 * 2000;
    assert!(most.load(Relaxed) <= limit + slack, "{most:?} of {limit}");
    assert!(most.load(Relaxed) > limit / 2, "{most:?} of {limit}");
}

#[test]
fn two_readers_at_a_time_fetch_each_part_once() {
    let place = Place::new(&[640, 640], 1500);
    write_indices(&place, 2);
    let cache = tempfile::tempdir().unwrap();
    place.server.set_delay(Duration::from_millis(10));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let set = open(place.config(&cache), &place.pattern("s3", 2)).unwrap();
                good(read(&set, &mixed(1)));
            });
        }
    });
    let mut ranges: Vec<_> = place
        .server
        .requests()
        .into_iter()
        .filter_map(|logged| Some((logged.asked.path, logged.asked.range?.start)))
        .collect();
    let count = ranges.len();
    ranges.sort();
    ranges.dedup();
    assert_eq!(count, ranges.len());
}

#[test]
fn damaged_and_cut_parts_are_fetched_again() {
    let place = Place::new(&[320], 1500);
    write_indices(&place, 1);
    let order = mixed(1);
    let expected = place.local(&order);
    let cache = tempfile::tempdir().unwrap();
    let start = || open(place.config(&cache), &place.pattern("s3", 1)).unwrap();
    good(read(&start(), &order));
    let parts = parts(cache.path());
    assert_eq!(parts.len(), 10);
    for (number, path) in parts.iter().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        let length = bytes.len();
        match number % 4 {
            0 => bytes[length / 2] ^= 1,
            1 => bytes[length - 1] ^= 1,
            2 => bytes.truncate(length / 3),
            _ => bytes.clear(),
        }
        fs::write(path, bytes).unwrap();
    }
    let set = start();
    assert!(good(read(&set, &order)) == expected);
    let traffic = set.traffic().unwrap();
    assert_eq!((traffic.damaged, traffic.misses), (10, 10), "{traffic:?}");
}

#[test]
fn leftovers_of_dead_processes_are_removed_and_foreign_files_stay() {
    let place = Place::new(&[64], 1500);
    let cache = tempfile::tempdir().unwrap();
    let start = || good(read(&open(place.config(&cache), &place.pattern("s3", 1)).unwrap(), &mixed(1)));
    start();
    let folder = parts(cache.path())[0].parent().unwrap().to_owned();
    let leftover = folder.join(format!(".{}.part.123-0000000000000000.tmp", "a".repeat(32)));
    fs::write(&leftover, b"half").unwrap();
    let in_use = folder.join(format!(".{}.part.124-0000000000000000.tmp", "b".repeat(32)));
    let file = File::create(&in_use).unwrap();
    file.lock().unwrap();
    let foreign = [cache.path().join("mine.part"), folder.join("mine.txt"), folder.join("notes.part")];
    for path in &foreign {
        fs::write(path, b"only copy").unwrap();
    }
    let config = RemoteConfig { limit: Some(1), ..place.config(&cache) };
    let small = open(config, &place.pattern("s3", 1)).unwrap();
    assert!(matches!(read(&small, &endless()).remove(0), Err(Error::SmallCache { limit: 1, .. })));
    start();
    assert!(!leftover.exists() && in_use.exists());
    assert!(foreign.iter().all(|path| fs::read(path).unwrap() == b"only copy"));
}

#[test]
fn a_cache_that_is_too_small_is_refused_with_the_size_that_is_needed() {
    let place = Place::new(&[1280], 1000);
    let cache = tempfile::tempdir().unwrap();
    let config = RemoteConfig { limit: Some(100_000), ..place.config(&cache) };
    let set = open(config, &place.pattern("s3", 1)).unwrap();
    let global = Order { shuffle: Shuffle::Global, ..endless() };
    for (order, least, most) in
        [(endless(), 64 * 2 * 1000, place.bytes()), (global, place.bytes(), place.bytes() * 2)]
    {
        let error = read(&set, &order).remove(0).unwrap_err();
        let Error::SmallCache { bytes, limit: 100_000 } = error else { panic!("{error}") };
        assert!((least..most).contains(&bytes), "{bytes}");
    }
}

#[test]
fn a_folder_that_cannot_be_used_as_a_cache_is_no_reason_to_fail_at_once() {
    let place = Place::new(&[64], 1000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let config = RemoteConfig { cache: Some(file), ..place.config(&folder) };
    let set = open(config, &place.pattern("s3", 1)).unwrap();
    assert!(matches!(read(&set, &endless()).remove(0), Err(Error::SmallCache { limit: 0, .. })));
}

#[test]
fn a_stream_with_an_end_is_read_with_any_cache() {
    let place = Place::new(&[320], 1000);
    let order = Order { shuffle: Shuffle::Global, ..mixed(1) };
    let expected = place.local(&order);
    let cache = tempfile::tempdir().unwrap();
    let config = RemoteConfig { limit: Some(1), ..place.config(&cache) };
    let set = open(config, &place.pattern("s3", 1)).unwrap();
    assert!(good(read(&set, &order)) == expected);
}
