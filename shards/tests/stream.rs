//! Whole sets: the contract of sources, streaming, resuming.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

use std::{collections::BTreeSet, fs};

use shards::{
    Division, Error, IndexConfig, MemorySource, Order, Position, Sample, ShardSet, Shuffle, Source,
};

use support::{all, epochs, local, open, write, written};

mod support;

/// Checks the contract of a source with two shards, of three and two samples.
fn conforms(source: impl Source + Clone + 'static) {
    let names = source.list().unwrap();
    assert_eq!(names.iter().map(shards::ShardName::base).collect::<Vec<_>>(), ["x-000.tar", "x-001.tar"]);
    for name in &names {
        let shard = source.open(name).unwrap();
        assert_eq!(shard.stamp(), source.stamp(name).unwrap());
        assert_eq!(shard.stamp().size, shard.len());
        let bytes = shard.slice(0..512).unwrap();
        assert!(shard.slice(0..shard.len() + 1).is_err());
        assert!(shard.slice(512..512).unwrap().is_empty());
        drop(shard);
        assert_eq!(bytes[257..262], *b"ustar");
    }
    assert!(source.open(&"no.tar".into()).is_err());
    assert!(source.stamp(&"no.tar".into()).is_err());

    let set = ShardSet::open(source, &IndexConfig::default()).unwrap();
    assert_eq!((set.len(), set.labelled(), set.classes()), (5, 5, Some(5)));
    assert_eq!((set.shards(), set.faults()), (&*names, &[][..]));
    let samples =
        all(&set, Order { shuffle: Shuffle::None, ..epochs(1) }, Division::default(), Position::default());
    for (number, sample) in samples.iter().enumerate() {
        assert_eq!((sample.index, sample.key.clone()), (number as u64, number.to_string()));
        assert_eq!(
            (sample.image.read(<[u8]>::to_vec).unwrap(), sample.label),
            (vec![number as u8; 10], Some(number as u32))
        );
        let location = set.locate(sample.index).unwrap();
        assert_eq!((location.shard, location.offset), (sample.shard.clone(), sample.offset));
        assert_eq!(location.key, sample.key);
    }
    assert_eq!(samples.len(), 5);
    assert!(matches!(set.locate(5), Err(Error::Index { index: 5, len: 5 })));
}

#[test]
fn a_source_of_files_conforms() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[3, 2], 10);
    conforms(local(folder.path()));
}

#[test]
fn a_source_in_memory_conforms() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[3, 2], 10);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    conforms(MemorySource::new().with("x-000.tar", read("x-000.tar")).with("x-001.tar", read("x-001.tar")));
}

#[test]
fn every_sample_is_seen_once_per_epoch_across_all_ranks() {
    let (_folder, set) = written(&[1, 150, 33, 64, 7]);
    for ranks in [1, 2, 3, 5, 8] {
        let mut seen = BTreeSet::new();
        for rank in 0..ranks {
            // The last batch of the epoch is not full: each rank has its places that exist.
            let division = Division { rank, ranks, batch: 4 * ranks, parts: 1 };
            for sample in all(&set, epochs(1), division, Position::default()) {
                assert_eq!(sample.key, sample.index.to_string());
                assert!(seen.insert(sample.index), "{} twice", sample.index);
            }
        }
        assert_eq!(seen.len() as u64, set.len(), "{ranks} ranks");
    }
}

/// The stream that version 0.1 read, before there were partitions: runs that it started must continue in the
/// same order.
#[test]
fn the_order_of_one_process_stays_what_it_was() {
    let (_folder, set) = written(&[40, 1, 59, 103]);
    for (shuffle, expected) in [
        (
            "window:50",
            [
                2, 15, 95, 197, 92, 88, 4, 85, 198, 7, 25, 23, 24, 138, 4, 149, 142, 195, 155, 197, 143, 158,
                130, 141, 157, 133, 0, 200, 139, 201,
            ],
        ),
        (
            "window:16384",
            [
                192, 4, 142, 3, 115, 147, 112, 144, 19, 134, 65, 164, 174, 13, 143, 112, 0, 97, 135, 193,
                110, 48, 100, 10, 1, 9, 177, 76, 61, 24,
            ],
        ),
        (
            "global",
            [
                108, 94, 71, 27, 23, 130, 191, 196, 149, 64, 5, 101, 121, 49, 99, 193, 185, 56, 109, 117, 61,
                156, 28, 85, 189, 69, 186, 125, 72, 80,
            ],
        ),
    ] {
        let order = Order { seed: 11, shuffle: shuffle.parse().unwrap(), ..Order::default() };
        for batch in [1, 7] {
            let division = Division { batch, ..Division::default() };
            // Past the end of an epoch.
            let samples = set.samples(order.clone(), division, Position { epoch: 2, offset: 190 });
            let indices: Vec<u64> = samples.take(30).map(|sample| sample.unwrap().index).collect();
            assert_eq!(indices, expected, "{shuffle}");
        }
    }
}

/// The samples of `steps` batches from a position on, part after part, as all ranks together take them; and the
/// position after them.
fn batches(
    set: &ShardSet,
    order: &Order,
    division: Division,
    from: Position,
    steps: usize,
) -> (Vec<(u64, String)>, Position) {
    let Division { ranks, batch, parts, .. } = division;
    let of_rank = |rank| {
        let samples = set.samples(order.clone(), Division { rank, ..division }, from);
        samples.take(steps * batch / ranks).map(Result::unwrap).collect::<Vec<Sample>>()
    };
    let of_ranks: Vec<Vec<Sample>> = (0..ranks).map(of_rank).collect();
    let ends: BTreeSet<_> = of_ranks.iter().map(|samples| samples[samples.len() - 1].next).collect();
    assert_eq!(ends.len(), 1, "ranks are at different positions");
    let slice = batch / ranks / parts;
    let places = (0..steps * parts).flat_map(|part| (0..ranks).map(move |rank| (part, rank)));
    let slices = places.flat_map(|(part, rank)| &of_ranks[rank][part * slice..][..slice]);
    (slices.map(|sample| (sample.epoch, sample.key.clone())).collect(), *ends.first().unwrap())
}

#[test]
fn three_epochs_are_the_same_for_any_number_of_ranks_also_if_it_changes() {
    let (_folder, set) = written(&[40, 61]);
    for shuffle in ["window:32", "global", "none"] {
        for (partitions, parts) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let order = Order { seed: 9, shuffle: shuffle.parse().unwrap(), partitions, epochs: None };
            let division = |ranks| Division { rank: 0, ranks, batch: 8, parts };
            let whole = |ranks| batches(&set, &order, division(ranks), Position::default(), 38);
            let one = whole(1);
            assert_eq!(
                one.0.iter().filter(|(epoch, _)| *epoch < 3).count(),
                3 * (101 / partitions) * partitions
            );
            assert_eq!(whole(2), one);
            assert_eq!(whole(4), one);
            for (first, second) in [(1, 1), (5, 20), (13, 11)] {
                let (mut keys, mut at) = (Vec::new(), Position::default());
                for (ranks, steps) in [(4, first), (2, second), (1, 38 - first - second)] {
                    let (more, next) = batches(&set, &order, division(ranks), at, steps);
                    keys.extend(more);
                    at = next;
                }
                assert_eq!((keys, at), one, "{shuffle}, {partitions} partitions, {parts} parts");
            }
        }
    }
}

#[test]
fn a_resumed_run_continues_with_the_next_batch() {
    let (_folder, set) = written(&[40, 61]);
    let order = Order { partitions: 2, ..epochs(3) };
    let division = Division { rank: 1, ranks: 2, batch: 2, parts: 1 };
    let whole = all(&set, order.clone(), division, Position::default());
    assert_eq!(whole.len(), 150);
    for taken in [0, 1, 49, 50, 51, 99, 149] {
        let from = if taken == 0 { Position::default() } else { whole[taken - 1].next };
        let tail = all(&set, order.clone(), division, from);
        let place = |sample: &Sample| (sample.epoch, sample.index, sample.next);
        assert!(tail.iter().map(place).eq(whole[taken..].iter().map(place)), "after {taken}");
    }
    assert_eq!(whole[149].next, Position { epoch: 3, offset: 0 });
    assert_eq!(set.samples(order, division, whole[149].next).count(), 0);
}

#[test]
fn epochs_differ_and_go_on_without_end() {
    let (_folder, set) = written(&[30]);
    let endless = Order { epochs: None, ..epochs(0) };
    let samples = set.samples(endless, Division::default(), Position { epoch: 1 << 40, offset: 0 });
    let samples: Vec<Sample> = samples.take(90).map(Result::unwrap).collect();
    let epoch =
        |number: usize| samples[number * 30..][..30].iter().map(|sample| sample.index).collect::<Vec<_>>();
    assert_ne!(epoch(0), epoch(1));
    assert_ne!(epoch(1), epoch(2));
    assert_eq!(epoch(2).into_iter().collect::<BTreeSet<_>>().len(), 30);
    assert_eq!(samples[89].epoch, (1 << 40) + 2);
}

#[test]
fn an_impossible_request_yields_one_error_and_nothing_else() {
    let (_folder, set) = written(&[3]);
    let four = Order { partitions: 4, ..epochs(1) };
    let mut few = set.samples(four, Division { batch: 4, ..Division::default() }, Position::default());
    assert!(matches!(few.next(), Some(Err(Error::TooFew { samples: 3, partitions: 4 }))));
    assert!(few.next().is_none());
    let mut past = set.samples(epochs(1), Division::default(), Position { epoch: 0, offset: 3 });
    assert!(matches!(past.next(), Some(Err(Error::Position { offset: 3, length: 3 }))));
}

#[test]
fn a_stream_can_be_dropped_at_any_time() {
    let (_folder, set) = written(&[300, 300]);
    for taken in [0, 1, 64, 1000] {
        let endless = Order { epochs: None, ..epochs(0) };
        assert_eq!(set.samples(endless, Division::default(), Position::default()).take(taken).count(), taken);
    }
}

#[test]
fn a_subset_is_a_set_of_its_own() {
    let (_folder, set) = written(&[3, 1, 4]);
    let subset = set.subset(vec![7, 1, 3, 1, 99]);
    let samples = all(&subset, epochs(1), Division::default(), Position::default());
    let mut keys: Vec<_> = samples.iter().map(|sample| (sample.index, sample.key.clone())).collect();
    keys.sort();
    let expected = [(0, "1"), (1, "3"), (2, "7")].map(|(index, key)| (index, key.to_owned()));
    assert_eq!(keys, expected);
    assert_eq!(subset.locate(2).unwrap().key, "7");
    assert_eq!(
        (0..3).map(|index| subset.label(index)).collect::<Vec<_>>(),
        [1, 3, 7].map(|index| set.label(index))
    );
    assert_ne!(subset.digest(), set.digest());
    assert_ne!(subset.digest(), set.subset(vec![7, 1, 2]).digest());
    assert!(set.subset(Vec::new()).is_empty() && set.label(99).is_none());
}

#[test]
fn the_digest_depends_on_the_data_and_not_on_the_folder() {
    let (folder, set) = written(&[3, 2]);
    let (_elsewhere, same) = written(&[3, 2]);
    assert_eq!(set.digest(), same.digest());
    assert_ne!(set.digest(), written(&[2, 3]).1.digest());
    let path = folder.path().join("x-001.tar");
    let mut longer = fs::read(&path).unwrap();
    longer.extend([0; 512]);
    fs::write(&path, longer).unwrap();
    assert_ne!(set.digest(), open(folder.path()).digest());
    fs::rename(&path, folder.path().join("x-002.tar")).unwrap();
    let renamed = open(folder.path()).digest();
    fs::rename(folder.path().join("x-002.tar"), &path).unwrap();
    assert_ne!(renamed, open(folder.path()).digest());
}

#[test]
fn a_stream_can_be_handed_to_another_thread() {
    let (_folder, set) = written(&[3]);
    let samples = set.samples(epochs(1), Division::default(), Position::default());
    let set = std::thread::spawn(move || (samples.count(), set.clone())).join().unwrap();
    assert_eq!(set.0 as u64, set.1.len());
}
