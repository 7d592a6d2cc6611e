//! Shards that are damaged or changed while in use, and stale cached indices.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use shards::{
    Division, Error, IndexConfig, Inspection, LocalSource, Order, Position, Shard, ShardName, ShardSet,
    Shuffle, Source, Stamp,
};

use support::{epochs, local, open, write, written};

mod support;

#[test]
fn a_shard_cut_while_mapped_gives_errors_that_name_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[4], 100_000);
    let set = open(folder.path());
    let endless = Order { shuffle: Shuffle::None, epochs: None, ..Order::default() };
    let mut samples = set.samples(endless, Division::default(), Position::default());
    assert!(samples.next().unwrap().is_ok());
    let last = set.locate(3).unwrap();
    // Cuts within the image of the last sample; its header stays.
    File::options()
        .write(true)
        .open(folder.path().join("x-000.tar"))
        .unwrap()
        .set_len(last.offset + 50_000)
        .unwrap();
    // Skips far more samples than were read ahead.
    let mut after = samples.skip_while(|sample| sample.as_ref().map_or(true, |sample| sample.epoch < 500));
    for number in 0..3 {
        let sample = after.next().unwrap().unwrap();
        assert!(sample.image.read(|bytes| bytes.iter().all(|&byte| byte == number)).unwrap());
    }
    let Some(Err(Error::Sample { shard, offset, key, .. })) = after.next() else {
        panic!("an error was expected")
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
        set.samples(order, Division::default(), Position::default()).map(Result::unwrap).collect();
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
    let sample = set.samples(epochs(1), Division::default(), Position::default()).next().unwrap().unwrap();
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
fn a_cut_is_noticed_even_in_a_file_that_was_renamed_over() {
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
    let samples = set.samples(epochs(1), Division::default(), Position::default());
    let (good, bad): (Vec<_>, Vec<_>) = samples.partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (5, 5));
    for error in bad {
        let Err(Error::Sample { shard, source, .. }) = error else {
            panic!("an error of a sample was expected")
        };
        assert!(shard.ends_with("x-000.tar"));
        assert!(source.to_string().contains("changed after it was indexed"), "{source}");
    }
}

#[test]
fn shards_with_faults_are_listed_and_the_rest_goes_on() {
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
    let samples: Vec<_> = set.samples(epochs(1), Division::default(), Position::default()).collect();
    assert_eq!(samples.len(), 6);
    let bad: Vec<_> = samples.into_iter().filter_map(Result::err).collect();
    assert!(matches!(&bad[..], [Error::Sample { key, offset: 512, .. }] if key == "5"), "{bad:?}");
}

#[test]
fn an_inspected_shard_that_is_cut_loses_the_samples_after_the_cut_and_is_not_copied() {
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

/// A source of the shards in a folder that counts how often one is opened.
#[derive(Debug)]
struct Counting(LocalSource, AtomicUsize);

impl Source for Counting {
    fn list(&self) -> shards::Result<Vec<ShardName>> {
        self.0.list()
    }

    fn stamp(&self, name: &ShardName) -> shards::Result<Stamp> {
        self.0.stamp(name)
    }

    fn open(&self, name: &ShardName) -> shards::Result<Shard> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open(name)
    }

    fn identity(&self, name: &ShardName) -> Option<String> {
        self.0.identity(name)
    }
}

/// Returns the first label of the only shard, and whether it was read from the shard rather than the cache.
fn first_label(folder: &Path, cache: &Path) -> (Option<u32>, bool) {
    let config = IndexConfig { cache: Some(cache.to_owned()), threads: 1 };
    let source = Arc::new(Counting(local(folder), AtomicUsize::new(0)));
    let set = ShardSet::open(Arc::clone(&source), &config).unwrap();
    (set.label(0), source.1.load(Ordering::Relaxed) > 0)
}

/// Writes another first label into the shard, and restores its time; its size stays the same.
fn relabel(path: &Path, digit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[1536] = digit; // after a header, an image and another header
    let before = fs::metadata(path).unwrap();
    let changed = |file: &fs::Metadata| (file.ctime(), file.ctime_nsec());
    // A file system's clock moves in steps of some milliseconds.
    while changed(&fs::metadata(path).unwrap()) == changed(&before) {
        fs::write(path, &bytes).unwrap();
        set_time(path);
    }
}

fn set_time(path: &Path) {
    let time = UNIX_EPOCH + Duration::from_secs(1_000);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_index_is_cached_until_the_shard_changes() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &[2], 10);
    let path = folder.path().join("x-000.tar");
    relabel(&path, b'0');
    assert_eq!(first_label(folder.path(), cache.path()), (Some(0), true));
    assert_eq!(first_label(folder.path(), cache.path()), (Some(0), false));
    File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(first_label(folder.path(), cache.path()), (Some(0), true));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "there is nothing beside the shard");
}

#[test]
fn a_shard_relabelled_with_its_old_size_and_time_has_its_new_labels() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &[2], 10);
    let path = folder.path().join("x-000.tar");
    relabel(&path, b'0');
    assert_eq!(first_label(folder.path(), cache.path()).0, Some(0));
    relabel(&path, b'4');
    assert_eq!(first_label(folder.path(), cache.path()).0, Some(4), "written in place");
    let other = folder.path().join("other");
    fs::copy(&path, &other).unwrap();
    relabel(&other, b'7');
    fs::rename(&other, &path).unwrap();
    assert_eq!(first_label(folder.path(), cache.path()).0, Some(7), "another file of its name");
}

#[test]
fn a_damaged_cached_index_is_replaced() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &[2], 10);
    assert_eq!(first_label(folder.path(), cache.path()), (Some(0), true));
    let files: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let mut bytes = fs::read(&files[0]).unwrap();
    bytes[60] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    assert_eq!(first_label(folder.path(), cache.path()), (Some(0), true));
}

#[test]
fn samples_stay_readable_while_others_copy_link_or_chmod_their_shard_but_not_when_it_is_relabelled() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[3], 10);
    let path = folder.path().join("x-000.tar");
    set_time(&path);
    let set = ShardSet::open(local(folder.path()), &IndexConfig::default()).unwrap();
    let good = || set.samples(epochs(1), Division::default(), Position::default()).flatten().count();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(good(), 3);
    fs::hard_link(&path, folder.path().join("link")).unwrap();
    assert_eq!(good(), 3);
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    set_time(&copy);
    fs::rename(&copy, &path).unwrap();
    assert_eq!(good(), 3);
    relabel(&path, b'8');
    assert_eq!(good(), 0, "the indexed labels are no longer right");
}
