//! Shards that are damaged, or change underneath; cached indices that are stale.
#![expect(clippy::unwrap_used, reason = "helpers of tests may, too")]

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use shards::{Error, IndexConfig, Inspection, Order, Position, ShardSet, Share, Shuffle, Source};

use support::{all, epochs, local, open, write, written};

mod support;

#[test]
fn a_shard_cut_while_mapped_gives_errors_that_name_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[4], 100_000);
    let set = open(folder.path());
    let endless = Order { shuffle: Shuffle::None, epochs: None, ..Order::default() };
    let mut samples = set.samples(endless, Share::default(), Position::default());
    assert!(samples.next().unwrap().is_ok());
    let last = set.locate(3).unwrap();
    // In the image of the last sample; its header stays.
    File::options()
        .write(true)
        .open(folder.path().join("x-000.tar"))
        .unwrap()
        .set_len(last.offset + 50_000)
        .unwrap();
    // What was read ahead is passed over; far more than that.
    let mut after = samples.skip_while(|sample| sample.as_ref().map_or(true, |sample| sample.epoch < 100));
    for number in 0..3 {
        let sample = after.next().unwrap().unwrap();
        assert!(sample.image.read(|bytes| bytes.iter().all(|&byte| byte == number)).unwrap());
    }
    let Some(Err(Error::Sample { shard, offset, key, .. })) = after.next() else {
        panic!("an error was due")
    };
    assert_eq!((shard, offset, &*key), (last.shard, last.offset, "3"));
    assert!(after.next().unwrap().is_ok());
}

#[test]
fn a_sample_that_was_read_ahead_is_an_error_once_its_shard_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[2], 100_000);
    let set = ShardSet::open(local(folder.path()), &IndexConfig::default()).unwrap();
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let samples: Vec<_> =
        set.samples(order, Share::default(), Position::default()).map(Result::unwrap).collect();
    let last = samples.last().unwrap();
    assert_eq!(last.image.read(<[u8]>::len).unwrap(), 100_000);
    let path = folder.path().join("x-000.tar");
    File::options().write(true).open(path).unwrap().set_len(last.offset + 99_999).unwrap();
    assert!(last.image.read(<[u8]>::len).is_err());
    assert!(samples[0].image.read(|bytes| bytes.iter().all(|&byte| byte == 0)).unwrap());
}

#[test]
fn a_shard_cut_while_its_sample_is_read_is_an_error_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[2], 100_000);
    let set = open(folder.path());
    let sample = set.samples(epochs(1), Share::default(), Position::default()).next().unwrap().unwrap();
    let cut = |bytes: &[u8]| {
        File::options().write(true).open(folder.path().join("x-000.tar")).unwrap().set_len(1024).unwrap();
        bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>()
    };
    assert!(sample.image.read(cut).is_err());
    assert!(sample.image.read(<[u8]>::len).is_err());
}

#[test]
fn a_slice_of_a_cut_file_is_an_error_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1], 100_000);
    let source = local(folder.path());
    let shard = source.open(&source.list().unwrap()[0]).unwrap();
    File::options().write(true).open(folder.path().join("x-000.tar")).unwrap().set_len(50_000).unwrap();
    assert_eq!(shard.slice(0..50_000).unwrap().len(), 50_000);
    assert!(shard.slice(0..50_001).is_err());
    assert!(shard.slice(60_000..100_000).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_cut_is_noticed_even_in_a_file_that_has_lost_its_name() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1], 100_000);
    let source = local(folder.path());
    let shard = source.open(&source.list().unwrap()[0]).unwrap();
    let file = File::options().write(true).open(folder.path().join("x-000.tar")).unwrap();
    write(folder.path(), &[1], 100_000);
    assert!(shard.slice(60_000..100_000).is_ok());
    file.set_len(50_000).unwrap();
    assert!(shard.slice(60_000..100_000).is_err());
    assert!(shard.slice(0..50_000).is_ok());
}

#[test]
fn a_shard_replaced_while_mapped_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1], 100_000);
    let source = local(folder.path());
    let shard = source.open(&source.list().unwrap()[0]).unwrap();
    let before = shard.slice(0..100_000).unwrap().to_vec();
    write(folder.path(), &[1], 10);
    assert_eq!(shard.slice(0..100_000).unwrap(), before);
}

#[test]
fn the_samples_of_a_shard_changed_after_indexing_are_errors_and_the_rest_goes_on() {
    let (folder, set) = written(&[5, 5]);
    write(folder.path(), &[6], 10);
    let samples = set.samples(epochs(1), Share::default(), Position::default());
    let (good, bad): (Vec<_>, Vec<_>) = samples.partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (5, 5));
    for error in bad {
        let Err(Error::Sample { shard, source, .. }) = error else { panic!("an error of a sample was due") };
        assert!(shard.ends_with("x-000.tar"));
        assert!(source.to_string().contains("changed after it was indexed"), "{source}");
    }
}

#[test]
fn shards_with_trouble_are_listed_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[5, 5, 5], 2_000);
    fs::write(folder.path().join("x-000.tar"), "").unwrap();
    let cut = fs::read(folder.path().join("x-001.tar")).unwrap();
    fs::write(folder.path().join("x-001.tar"), &cut[..1_000]).unwrap();
    let set = open(folder.path());
    let faults: Vec<_> =
        set.faults().iter().map(|fault| (&fault.shard[fault.shard.len() - 9..], &*fault.reason)).collect();
    let cut = "it is cut within a member, perhaps cut short";
    assert_eq!(faults, [("x-000.tar", "it is empty (0 bytes)"), ("x-001.tar", cut)]);
    let samples: Vec<_> = set.samples(epochs(1), Share::default(), Position::default()).collect();
    assert_eq!(samples.len(), 6);
    let bad: Vec<_> = samples.into_iter().filter_map(Result::err).collect();
    assert!(matches!(&bad[..], [Error::Sample { key, offset: 512, .. }] if key == "5"), "{bad:?}");
}

#[test]
fn an_inspected_shard_that_is_cut_loses_the_samples_behind_the_cut_and_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[3], 100_000);
    let source = local(folder.path());
    let shard = Inspection::open(&source, &source.list().unwrap()[0]).unwrap();
    let read = |number| shard.image(number)?.read(<[u8]>::len);
    assert_eq!(read(2).unwrap(), 100_000);
    let length = shard.samples()[1].offset + 50_000;
    File::options().write(true).open(folder.path().join("x-000.tar")).unwrap().set_len(length).unwrap();
    assert_eq!(read(0).unwrap(), 100_000);
    assert!(read(1).is_err() && read(2).is_err());
    let copy = folder.path().join("copy.tar");
    assert!(matches!(shard.copy(|_| true, &copy), Err(Error::Read { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of the copy");
}

/// The first label of the only shard, by an index from the cache if there is one.
fn first_label(folder: &Path, cache: &Path) -> Option<u32> {
    let config = IndexConfig { cache: Some(cache.to_owned()), threads: 1 };
    let set = ShardSet::open(local(folder), &config).unwrap();
    let order = Order { shuffle: Shuffle::None, ..epochs(1) };
    all(&set, order, Share::default(), Position::default())[0].label
}

/// Changes the first label from 0 to `digit`, and the time of the file to `second`.
fn change(path: &Path, digit: u8, second: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[1536] = digit; // behind header, image and header
    fs::write(path, bytes).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(second);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_index_is_cached_until_the_shard_changes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    write(folder.path(), &[2], 10);
    let path = folder.path().join("x-000.tar");
    change(&path, b'0', 1_000);
    assert_eq!(first_label(folder.path(), cache.path()), Some(0));
    // Same size and time: the cached index must be used, or this test would see the other label.
    change(&path, b'4', 1_000);
    assert_eq!(first_label(folder.path(), cache.path()), Some(0));
    change(&path, b'5', 1_001);
    assert_eq!(first_label(folder.path(), cache.path()), Some(5));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside the data");
}

#[test]
fn a_damaged_cached_index_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    write(folder.path(), &[2], 10);
    let path = folder.path().join("x-000.tar");
    change(&path, b'0', 1_000);
    assert_eq!(first_label(folder.path(), cache.path()), Some(0));
    change(&path, b'4', 1_000);
    let files: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let mut bytes = fs::read(&files[0]).unwrap();
    bytes[60] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    assert_eq!(first_label(folder.path(), cache.path()), Some(4));
}
