//! Indices beside shards.

use std::fs;

use super::{
    place::{Place, good, mixed, open, read},
    traffic::write_indices,
};

#[test]
fn an_index_of_another_size_or_damaged_is_not_used() {
    let place = Place::new(&[40], 1000);
    write_indices(&place, 1);
    let path = format!("{}.index", place.shard(0).display());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), &place.pattern("s3", 1)).unwrap();
    assert!(good(read(&set, &mixed(1))) == place.local(&mixed(1)));
}

#[test]
fn an_index_of_another_shard_of_the_same_size_gives_bad_samples_and_no_wrong_ones() {
    let place = Place::new(&[41, 41], 1000);
    // Other members at other places, and the same size.
    let mut writer = shards::ShardWriter::create(place.shard(1)).unwrap();
    for number in 0..20 {
        writer.append(&format!("{number:05}"), &[("jpg", &super::place::image(number, 1700))]).unwrap();
    }
    writer.finish().unwrap();
    let longest =
        [0, 1].map(|shard| fs::metadata(place.shard(shard)).unwrap().len()).into_iter().max().unwrap();
    for shard in [0, 1] {
        let mut bytes = fs::read(place.shard(shard)).unwrap();
        bytes.resize(longest as usize, 0);
        fs::write(place.shard(shard), bytes).unwrap();
    }
    write_indices(&place, 2);
    fs::copy(format!("{}.index", place.shard(0).display()), format!("{}.index", place.shard(1).display()))
        .unwrap();
    fs::remove_file(place.shard(0)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let set = open(place.config(&cache), "s3://bucket/x-001.tar").unwrap();
    let samples = read(&set, &mixed(1));
    let bad = samples.iter().filter_map(|sample| sample.as_ref().err()).map(|error| format!("{error:?}"));
    let bad: Vec<_> = bad.collect();
    assert!(bad.len() >= 40 && bad.iter().all(|error| error.contains("does not fit the shard")), "{bad:?}");
}
