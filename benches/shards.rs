//! The speed of indexing shards and of reading their samples from the page cache.
//!
//! `cargo bench -p shards`

use std::path::Path;

use shards::{Division, IndexConfig, LocalSource, Order, Position, Samples, ShardSet, ShardWriter};

use common::{Table, measure, once};

mod common;

fn main() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let mut table = Table::new("shards: header scan, two members per sample (samples / shards, image bytes)");
    // In small samples, headers are close to each other, as in CIFAR; in large ones a page or more apart, as in ImageNet.
    for (name, shards, samples, bytes) in [("small", 8, 50_000, 1_000), ("large", 8, 1_300, 110_000)] {
        write(folder.path(), name, (shards, samples, bytes));
        scan(folder.path(), name, &mut table);
    }
    let mut table = Table::new("shards: index of 1000 shards of 1300 samples");
    write(folder.path(), "many", (1_000, 1_300, 10));
    load(folder.path(), &mut table);
    let mut table = Table::new("shards: samples() in shuffled order, window 16384");
    for name in ["small", "large", "many"] {
        stream(folder.path(), name, &mut table);
    }
}

/// Writes `shards` shards of `samples` samples with images of `bytes` bytes.
fn write(folder: &Path, name: &str, (shards, samples, bytes): (usize, usize, usize)) {
    let image = vec![7; bytes];
    let path = |shard| folder.join(format!("{name}-{shard:03}.tar"));
    let mut writer = ShardWriter::create(path(0)).expect("the temporary folder is writable");
    for sample in 0..samples {
        let members = [("jpg", image.as_slice()), ("cls", b"1")];
        writer.append(&format!("class/{sample:08}"), &members).expect("the disk has room");
    }
    writer.finish().expect("the disk has room");
    for shard in 1..shards {
        std::fs::copy(path(0), path(shard)).expect("the disk has room");
    }
}

fn open(folder: &Path, name: &str, threads: usize, cache: Option<&Path>) -> ShardSet {
    let pattern = format!("{}/{name}-*.tar", folder.display());
    let source = LocalSource::new(&[pattern]).expect("the shards were written");
    let config = IndexConfig { cache: cache.map(Into::into), threads };
    ShardSet::open(source, &config).expect("the shards are whole")
}

fn scan(folder: &Path, name: &str, table: &mut Table) {
    let entries = 2.0 * open(folder, name, 0, None).len() as f64;
    for threads in [1, 2] {
        let time = measure(5, || open(folder, name, threads, None));
        if threads == 1 {
            table.row(
                &format!("{name}, per second of CPU"),
                entries / time.process_s / 1e6,
                "million entries/s",
            );
        }
        table.row(&format!("{name}, {threads} threads"), entries / time.wall_s / 1e6, "million entries/s");
    }
}

fn load(folder: &Path, table: &mut Table) {
    let cache = folder.join("cache");
    let time = once(|| open(folder, "many", 0, Some(&cache)));
    table.row("scan and store", time.wall_s, "s");
    let time = measure(5, || open(folder, "many", 0, Some(&cache)));
    table.row("load", time.wall_s, "s");
}

fn stream(folder: &Path, name: &str, table: &mut Table) {
    let set = open(folder, name, 0, None);
    let order = Order { epochs: Some(1), ..Order::default() };
    let samples = || -> Samples { set.samples(order.clone(), Division::default(), Position::default()) };
    let count = set.len().min(200_000);
    let time = measure(3, || samples().take(count as usize).filter_map(Result::ok).count());
    table.row(&format!("{name}, {} samples", set.len()), count as f64 / time.wall_s, "samples/s");
    table.row(&format!("{name}, CPU"), time.process_s / count as f64 * 1e6, "µs/sample");
}
