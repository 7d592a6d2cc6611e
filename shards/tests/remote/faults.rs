//! A network and a server that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use shards::{Division, Error, Position, RemoteConfig};
use store_server::Fault;

use super::{
    place::{Place, good, mixed, open, read},
    traffic::write_indices,
};

/// Returns pseudo-random numbers.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn faults_of_every_kind_change_no_sample() {
    let place = Place::new(&[640, 640], 1000);
    write_indices(&place, 2);
    let order = mixed(2);
    let expected = place.local(&order);
    let cache = tempfile::tempdir().unwrap();
    // A cache of less than the set, so that every epoch asks anew.
    let config = RemoteConfig { limit: Some(place.bytes() / 2), ..place.config(&cache) };
    let set = open(config, &place.pattern("s3", 2)).unwrap();
    let mut draw = numbers(7);
    let faults = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&faults);
    place.server.set_script(move |asked| {
        let Some(range) = asked.range.clone() else { return Vec::new() };
        let at = draw(range.end - range.start);
        let fault = match draw(20) {
            0 => Fault::status(503),
            1 => Fault::status_with(429, "Retry-After", "7"),
            2 => Fault::CloseBefore,
            3 => Fault::Reset { after: at },
            4 => Fault::Cut { after: at },
            5 => Fault::Short { by: at + 1, with_length: true },
            6 => Fault::Short { by: at + 1, with_length: false },
            7 => Fault::WrongRange,
            _ => return Vec::new(),
        };
        count.fetch_add(1, Relaxed);
        vec![fault]
    });
    assert!(good(read(&set, &order)) == expected);
    let traffic = set.traffic().unwrap();
    assert!(faults.load(Relaxed) > 20, "{faults:?} faults");
    assert!(traffic.retries > 8, "{traffic:?}");
}

#[test]
fn a_server_that_is_gone_for_a_while_is_waited_for() {
    let place = Place::new(&[320, 320], 1000);
    write_indices(&place, 2);
    let order = mixed(1);
    let expected = place.local(&order);
    let cache = tempfile::tempdir().unwrap();
    let config = RemoteConfig { limit: Some(place.bytes() / 2), ..place.config(&cache) };
    let set = open(config, &place.pattern("s3", 2)).unwrap();
    let mut samples = set.samples(order, Division::default(), Position::default());
    let mut seen = good(samples.by_ref().take(65));
    place.server.stop();
    let server = &place.server;
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_secs(2));
            server.start_again().unwrap();
        });
        seen.extend(good(samples));
    });
    assert!(seen == expected);
}

#[test]
fn a_server_that_stays_away_ends_the_reading_and_no_sample_is_bad() {
    let place = Place::new(&[320, 320], 1000);
    write_indices(&place, 2);
    let cache = tempfile::tempdir().unwrap();
    let config = RemoteConfig {
        limit: Some(place.bytes() / 2),
        patience: Duration::from_secs(1),
        ..place.config(&cache)
    };
    let set = open(config, &place.pattern("s3", 2)).unwrap();
    let mut samples = set.samples(mixed(1), Division::default(), Position::default());
    samples.by_ref().take(65).for_each(|sample| drop(sample.unwrap()));
    place.server.stop();
    let error = samples.find_map(Result::err).unwrap();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.to_string().starts_with("cannot read `s3://bucket/x-00"), "{error}");
    assert!(samples.next().is_none(), "it is the last item");
}

#[test]
fn dropping_a_stream_waits_for_no_server() {
    let place = Place::new(&[640], 1000);
    write_indices(&place, 1);
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("s3", 1)).unwrap();
    place.server.set_script(|asked| match &asked.range {
        Some(_) => vec![Fault::Stall { after: 10, how_long: Duration::from_secs(600) }],
        None => Vec::new(),
    });
    let samples = set.samples(mixed(1), Division::default(), Position::default());
    while place.server.requests().iter().filter(|logged| logged.asked.range.is_some()).count() < 8 {
        thread::sleep(Duration::from_millis(5));
    }
    let begin = Instant::now();
    drop(samples);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(set);
}

#[test]
fn a_server_that_ignores_ranges_is_named() {
    let place = Place::new(&[64], 1000);
    write_indices(&place, 1);
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("s3", 1)).unwrap();
    place.server.set_script(|_| vec![Fault::IgnoreRange]);
    let error = read(&set, &mixed(1)).pop().unwrap().unwrap_err();
    assert_eq!(error.hint(), Some(shards::Hint::Remote(shards::RemoteHint::Ranges)), "{error}");
}
