//! The same samples as from files.

use shards::{Order, Shuffle};

use super::place::{Place, good, mixed, open, read};

#[test]
fn samples_are_the_same_from_every_kind_of_server() {
    let place = Place::new(&[70, 45, 90], 3000);
    for order in [mixed(2), Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() }] {
        let expected = place.local(&order);
        for scheme in ["s3", "gs", "az", "http"] {
            let cache = tempfile::tempdir().unwrap();
            let set = open(place.config(&cache), &place.pattern(scheme, 3)).unwrap();
            assert_eq!((set.len(), set.labelled(), set.classes()), (205, 205, Some(10)), "{scheme}");
            assert!(good(read(&set, &order)) == expected, "{scheme}, {order:?}");
        }
    }
}

#[test]
fn samples_are_the_same_with_any_cache() {
    let place = Place::new(&[200, 45, 155], 3000);
    let order = mixed(2);
    let expected = place.local(&order);
    let total = place.bytes();
    let cache = tempfile::tempdir().unwrap();
    // The smallest cache, then one that holds all, half full at first, then full.
    for limit in [total * 96 / 100, 2 * total, 2 * total] {
        let config = shards::RemoteConfig { limit: Some(limit), ..place.config(&cache) };
        let set = open(config, &place.pattern("s3", 3)).unwrap();
        assert!(good(read(&set, &order)) == expected, "limit {limit} of {total}");
    }
}

#[test]
fn the_place_and_the_key_of_a_sample_are_found_without_reading_its_shard() {
    let place = Place::new(&[40], 30_000);
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("http", 1)).unwrap();
    let location = set.locate(33).unwrap();
    assert_eq!(location.key, "00033");
    assert!(location.shard.ends_with("/bucket/x-000.tar"));
    assert_eq!(set.find("00012").unwrap(), Some(12));
}
