//! Sets of written shards, and their samples.

use std::path::Path;

use shards::{Division, IndexConfig, LocalSource, Order, Position, Sample, ShardSet, ShardWriter};
use tempfile::TempDir;

/// Writes shards `x-000.tar` and so on, with the given numbers of samples, and images of `bytes` bytes; keys
/// number the samples.
pub(crate) fn write(folder: &Path, sizes: &[usize], bytes: usize) {
    let mut number = 0;
    for (shard, size) in sizes.iter().enumerate() {
        let mut writer = ShardWriter::create(folder.join(format!("x-{shard:03}.tar"))).unwrap();
        for _ in 0..*size {
            let (image, label) = (vec![number as u8; bytes], (number % 10).to_string());
            let members = [("jpg", image.as_slice()), ("cls", label.as_bytes())];
            writer.append(&format!("{number}"), &members).unwrap();
            number += 1;
        }
        writer.finish().unwrap();
    }
}

pub(crate) fn local(folder: &Path) -> LocalSource {
    LocalSource::new(&[format!("{}/x-*.tar", folder.display())]).unwrap()
}

pub(crate) fn open(folder: &Path) -> ShardSet {
    ShardSet::open(local(folder), &IndexConfig::default()).unwrap()
}

pub(crate) fn written(sizes: &[usize]) -> (TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), sizes, 10);
    let set = open(folder.path());
    (folder, set)
}

pub(crate) fn epochs(count: u64) -> Order {
    let shuffle = "window:50".parse().unwrap();
    Order { seed: 3, shuffle, epochs: Some(count), ..Order::default() }
}

pub(crate) fn all(set: &ShardSet, order: Order, division: Division, from: Position) -> Vec<Sample> {
    set.samples(order, division, from).map(Result::unwrap).collect()
}
