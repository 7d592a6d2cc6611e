//! Shards that are replaced or removed while they are read.

use std::fs;

use shards::{Division, Error, Position, RemoteConfig, Sample};
use store_server::Fault;

use super::{
    place::{Place, mixed, open, seen},
    traffic::write_indices,
};

/// Reads an epoch of two shards, the second of which is changed after some samples. Returns the samples, and the shards
/// of the bad ones with the reasons.
fn changed(place: &Place, scheme: &str, change: impl FnOnce()) -> (Vec<Sample>, Vec<(String, String)>) {
    write_indices(place, 2);
    let cache = tempfile::tempdir().unwrap();
    let config = RemoteConfig { limit: Some(place.bytes() / 2), ..place.config(&cache) };
    let set = open(config, &place.pattern(scheme, 2)).unwrap();
    let mut samples = set.samples(mixed(1), Division::default(), Position::default());
    let mut good: Vec<Sample> = samples.by_ref().take(65).map(Result::unwrap).collect();
    change();
    let mut bad = Vec::new();
    for sample in samples {
        match sample {
            Ok(sample) => good.push(sample),
            Err(Error::Sample { shard, source, .. }) => bad.push((shard.to_string(), source.to_string())),
            Err(error) => panic!("{error}"),
        }
    }
    (good, bad)
}

/// Checks that every good sample is of the version that was indexed, and that all bad ones are of the second shard.
fn check(place: &Place, good: &[Sample], bad: &[(String, String)], reason: &str) {
    assert_eq!(good.len() + bad.len(), 1280);
    assert!(bad.len() > 64, "{}", bad.len());
    for (shard, words) in bad {
        assert!(shard.ends_with("x-001.tar") && words.contains(reason), "{shard}: {words}");
    }
    for sample in good {
        let number: usize = sample.key.parse().unwrap();
        let (key, _, _, image) = seen(sample);
        assert!(
            image == super::place::image(number, 1000),
            "sample {key} of {}",
            place.folder.path().display()
        );
    }
}

#[test]
fn a_replaced_shard_has_bad_samples_and_no_other_pixels() {
    for is_equally_long in [true, false] {
        let place = Place::new(&[640, 640], 1000);
        let path = place.shard(1);
        let bytes = fs::read(&path).unwrap();
        let (good, bad) = changed(&place, "s3", || {
            let mut other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
            if !is_equally_long {
                other.truncate(bytes.len() / 2);
            }
            fs::write(&path, other).unwrap();
        });
        check(&place, &good, &bad, "replaced");
    }
}

#[test]
fn a_server_that_ignores_conditions_is_seen_through() {
    let place = Place::new(&[640, 640], 1000);
    place.server.set_script(|_| vec![Fault::IgnoreConditions]);
    let path = place.shard(1);
    let bytes = fs::read(&path).unwrap();
    let (good, bad) = changed(&place, "http", || {
        fs::write(&path, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).unwrap();
    });
    check(&place, &good, &bad, "replaced");
}

#[test]
fn a_removed_shard_has_bad_samples() {
    let place = Place::new(&[640, 640], 1000);
    let path = place.shard(1);
    let (good, bad) = changed(&place, "gs", || fs::remove_file(&path).unwrap());
    check(&place, &good, &bad, "removed");
}

#[test]
fn a_server_without_tags_is_read() {
    let place = Place::new(&[100], 1000);
    let order = mixed(1);
    let expected = place.local(&order);
    place.server.set_script(|_| vec![Fault::NoETag]);
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("http", 1)).unwrap();
    assert!(super::place::good(super::place::read(&set, &order)) == expected);
}
