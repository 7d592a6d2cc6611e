//! What is asked of a server, by its own log.

use std::collections::BTreeMap;

use shards::{Access, IndexConfig, RemoteConfig, ShardSet};

use super::place::{Place, good, mixed, open, read};

/// Writes the index of each shard beside it.
pub(crate) fn write_indices(place: &Place, shards: usize) {
    let source = shards::open(&[format!("{}/bucket/x-*.tar", place.folder.path().display())]).unwrap();
    for (number, name) in source.list().unwrap().iter().enumerate().take(shards) {
        let bytes = ShardSet::index_beside(&*source, name, &IndexConfig::default()).unwrap();
        std::fs::write(format!("{}.index", place.shard(number).display()), bytes).unwrap();
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|found| found == ending)
}

/// Returns the bytes of shards that were asked for, and how many of them were asked for more than once.
fn asked_bytes(place: &Place) -> (u64, u64) {
    let mut of_shard: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for logged in place.server.requests() {
        if let Some(range) = logged.asked.range.filter(|_| has_ending(&logged.asked.path, "tar")) {
            of_shard.entry(logged.asked.path).or_default().push((range.start, range.end));
        }
    }
    let (mut sum, mut twice) = (0, 0);
    for ranges in of_shard.values_mut() {
        ranges.sort_unstable();
        let mut end = 0;
        for &(from, to) in &*ranges {
            sum += to - from;
            twice += end.min(to).saturating_sub(from);
            end = end.max(to);
        }
    }
    (sum, twice)
}

#[test]
fn an_epoch_asks_for_each_byte_once_and_a_second_one_for_none() {
    let place = Place::new(&[400, 300, 324], 2000);
    write_indices(&place, 3);
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("s3", 3)).unwrap();
    let (sum, _) = asked_bytes(&place);
    assert_eq!(sum, 0, "indices lie beside the shards");
    good(read(&set, &mixed(1)));
    let (sum, twice) = asked_bytes(&place);
    assert_eq!(twice, 0);
    assert!(sum <= place.bytes() && sum >= place.bytes() * 9 / 10, "{sum} of {}", place.bytes());
    place.server.forget_requests();
    let again = open(place.config(&cache), &place.pattern("s3", 3)).unwrap();
    good(read(&again, &mixed(3)));
    let requests: Vec<_> = place.server.requests().into_iter().map(|logged| logged.asked).collect();
    assert!(
        requests.iter().all(|asked| asked.method == "HEAD" || has_ending(&asked.path, "index")),
        "{requests:?}"
    );
    let traffic = again.traffic().unwrap();
    assert_eq!((traffic.misses, traffic.retries, traffic.damaged), (0, 0, 0), "{traffic:?}");
}

#[test]
fn a_cache_of_two_windows_suffices_for_one_pass() {
    let place = Place::new(&[1024, 1024, 1024], 1000);
    write_indices(&place, 3);
    let mean = place.bytes() / 3072 + 1;
    let cache = tempfile::tempdir().unwrap();
    // Two windows, and the samples that are being read.
    let config = RemoteConfig { limit: Some(mean * (2 * 64 + 512 + 128) * 11 / 10), ..place.config(&cache) };
    let limit = config.limit.unwrap();
    assert!(limit < place.bytes() / 3, "{limit} of {}", place.bytes());
    let set = open(config, &place.pattern("s3", 3)).unwrap();
    let samples = good(read(&set, &mixed(1)));
    assert_eq!(samples.len(), 3072);
    let (sum, _) = asked_bytes(&place);
    assert!(sum <= place.bytes() * 102 / 100, "{sum} of {}", place.bytes());
}

#[test]
fn a_start_with_known_indices_asks_for_versions_alone() {
    let place = Place::new(&[40, 40], 2000);
    let (cache, indices) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = || {
        let source = Access::new(place.config(&cache)).open(&[place.pattern("http", 2)]).unwrap();
        let config = IndexConfig { cache: Some(indices.path().to_owned()), threads: 0 };
        ShardSet::open(source, &config).unwrap()
    };
    start();
    place.server.forget_requests();
    assert_eq!(start().len(), 80);
    let methods: Vec<_> = place.server.requests().into_iter().map(|logged| logged.asked.method).collect();
    assert_eq!(methods, ["HEAD", "HEAD"]);
}

#[test]
fn reading_a_shard_for_its_index_fills_the_cache() {
    let place = Place::new(&[400, 300], 2000);
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("http", 2)).unwrap();
    good(read(&set, &mixed(2)));
    let (sum, twice) = asked_bytes(&place);
    assert_eq!((sum, twice), (place.bytes(), 0));
}

#[test]
fn a_glob_needs_no_requests_for_single_versions() {
    let place = Place::new(&[10; 12], 100);
    place.server.set_page(5);
    for scheme in ["s3", "gs", "az"] {
        let cache = tempfile::tempdir().unwrap();
        place.server.forget_requests();
        let source = Access::new(place.config(&cache)).open(&[format!("{scheme}://bucket/x-*.tar")]).unwrap();
        let names: Vec<_> = source.list().unwrap().iter().map(|name| name.base().to_owned()).collect();
        let expected: Vec<_> = (0..12).map(|shard| format!("x-{shard:03}.tar")).collect();
        assert_eq!(names, expected, "{scheme}");
        let requests = place.server.requests();
        assert!(requests.iter().all(|logged| logged.asked.is_listing()), "{scheme}: {requests:?}");
        assert_eq!(requests.len(), 3, "{scheme}: pages");
    }
}
