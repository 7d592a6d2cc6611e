//! Archives of other programs, made by `data/make.py`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

use std::path::Path;

use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet};

fn set(name: &str) -> ShardSet {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let source = LocalSource::new(&[path.to_str().unwrap().to_owned()]).unwrap();
    ShardSet::open(source, &IndexConfig::default()).unwrap()
}

/// Reads key, image and label of each sample, sorted by key.
fn samples(name: &str) -> Vec<(String, String, Option<u32>)> {
    let set = set(name);
    assert_eq!(set.faults(), [], "{name}");
    let order = Order { epochs: Some(1), ..Order::default() };
    let samples = set.samples(order, Division::default(), Position::default());
    let mut samples: Vec<_> = samples
        .map(|sample| {
            let sample = sample.unwrap();
            (sample.key, String::from_utf8(sample.image.read(<[u8]>::to_vec).unwrap()).unwrap(), sample.label)
        })
        .collect();
    samples.sort_unstable();
    samples
}

/// Lists the content of each archive of `make.py`, sorted by key, with links as the files that they lead to.
/// The ustar format cannot hold the longest name.
fn expected(has_longest: bool, has_links: bool) -> Vec<(String, String, Option<u32>)> {
    let long = format!("{}/{}", "d".repeat(80), "n".repeat(90));
    let longer = format!("{}/{}", "e".repeat(130), "f".repeat(200));
    let samples = [
        ("a/1", "first image", Some(0)),
        ("a/2", "second image", Some(3)),
        ("a/link", "first image", None),
        ("a/same", "first image", None),
        ("b/3", "third image", None),
        ("b/5", "", None),
        (&long, "long name", Some(1)),
        (&longer, "longer name", Some(2)),
        ("ünï/ключ", "name beyond ASCII", Some(7)),
    ];
    let links = ["a/link", "a/same"];
    let is_there = |key: &str| (has_longest || key != longer) && (has_links || !links.contains(&key));
    let wanted = samples.into_iter().filter(|(key, ..)| is_there(key));
    wanted.map(|(key, image, label)| (key.to_owned(), image.to_owned(), label)).collect()
}

#[test]
fn archives_of_gnu_tar_are_read() {
    assert_eq!(samples("gnu-tar-ustar.tar"), expected(false, true));
    assert_eq!(samples("gnu-tar-gnu.tar"), expected(true, true));
    assert_eq!(samples("gnu-tar-posix.tar"), expected(true, true));
}

#[test]
fn archives_of_python_tarfile_are_read() {
    assert_eq!(samples("tarfile-ustar.tar"), expected(false, false));
    assert_eq!(samples("tarfile-gnu.tar"), expected(true, false));
    assert_eq!(samples("tarfile-pax.tar"), expected(true, false));
}

#[test]
fn archives_of_the_webdataset_writer_are_read() {
    assert_eq!(samples("webdataset.tar"), expected(true, false));
}

#[test]
fn the_scanner_and_the_tar_crate_find_the_same_images() {
    for name in ["gnu-tar-gnu.tar", "gnu-tar-posix.tar", "tarfile-pax.tar", "webdataset.tar"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
        let offsets = archive.entries().unwrap().filter_map(|entry| {
            let entry = entry.unwrap();
            let name = String::from_utf8_lossy(&entry.path_bytes()).to_ascii_lowercase();
            let base = name.rsplit('/').next().unwrap();
            let (stem, extension) = base.split_once('.')?;
            let is_image = !stem.is_empty() && ["jpg", "jpeg", "png"].contains(&extension);
            (is_image && entry.header().entry_type().is_file()).then(|| entry.raw_file_position())
        });
        let set = set(name);
        let found = (0..set.len()).map(|index| set.locate(index).unwrap());
        let files = found.filter(|found| !["a/link", "a/same"].contains(&&*found.key));
        let found: Vec<u64> = files.map(|found| found.offset).collect();
        assert_eq!(found, offsets.collect::<Vec<_>>(), "{name}");
    }
}
