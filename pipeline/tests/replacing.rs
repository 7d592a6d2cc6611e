//! Bad samples of endless streams: what takes their places, on one rank and on several.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use common::picture;
use pipeline::{Batch, Error, Loader, LoaderConfig, Preset, encode_jpeg};
use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet, ShardWriter};
use tempfile::TempDir;

const BATCH: usize = 8;
const STEPS: usize = 21;

/// Writes a shard with a JPEG for each good sample, and half of one for each bad one.
fn write(path: &Path, samples: impl IntoIterator<Item = (u64, bool)>) {
    let mut writer = ShardWriter::create(path).unwrap();
    for (number, is_good) in samples {
        let mut jpeg = encode_jpeg(&picture(40, 36, number as u32), 90).unwrap();
        jpeg.truncate(if is_good { jpeg.len() } else { jpeg.len() / 2 });
        writer.append(&format!("{number}"), &[("jpg", &jpeg)]).unwrap();
    }
    writer.finish().unwrap();
}

fn open(folder: &TempDir) -> ShardSet {
    let source = LocalSource::new(&[format!("{}/*.tar", folder.path().display())]).unwrap();
    ShardSet::open(source, &IndexConfig::default()).unwrap()
}

/// Makes a set of 53 samples. The image of one, and two that follow each other, are damaged; the last one cannot
/// be read.
fn mixed() -> (TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    for (shard, numbers) in [(0, 0..30), (1, 30..52), (2, 52..53)] {
        let path = folder.path().join(format!("{shard}.tar"));
        write(&path, numbers.map(|number| (number, is_good(number) || number == 52)));
    }
    let set = open(&folder);
    fs::remove_file(folder.path().join("2.tar")).unwrap();
    (folder, set)
}

fn is_good(index: u64) -> bool {
    ![11, 30, 31, 52].contains(&index)
}

fn of_bad(count: u64) -> (TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("0.tar"), (0..count).map(|number| (number, false)));
    let set = open(&folder);
    (folder, set)
}

fn order(shuffle: &str, partitions: usize) -> Order {
    Order { seed: 3, shuffle: shuffle.parse().unwrap(), partitions, epochs: None }
}

fn load(
    set: &ShardSet,
    order: &Order,
    division: Division,
    from: Position,
    (max_bad, workers): (&str, usize),
) -> Loader<Vec<u8>> {
    let recipe = Preset::C10.recipe();
    let config = LoaderConfig {
        workers,
        batch_size: division.batch / division.ranks,
        max_bad: max_bad.parse().unwrap(),
        ..LoaderConfig::default()
    };
    let slabs = vec![vec![0; config.bytes(&recipe)]; config.slabs()];
    Loader::spawn_replacing(set.samples(order.clone(), division, from), recipe, slabs, &config).unwrap()
}

/// A batch of all ranks together.
#[derive(Debug, Clone, PartialEq)]
struct Global {
    /// The index of each sample, and the bytes of its views.
    samples: Vec<(u64, Vec<u8>)>,
    /// The keys of the bad samples that the ranks report.
    bad: Vec<String>,
    next: Position,
}

/// Puts the batches of the ranks together, part after part.
fn global(batches: &[Batch<Vec<u8>>], parts: usize) -> Global {
    let slice = batches[0].samples() / parts;
    let sample = |batch: &Batch<Vec<u8>>, place: usize| {
        let view = |number| batch.view(number)[place * 32 * 32 * 3..][..32 * 32 * 3].to_vec();
        (batch.indices[place] as u64, [view(0), view(1)].concat())
    };
    let of_part =
        |part| batches.iter().flat_map(move |batch| (part * slice..).take(slice).map(move |at| (batch, at)));
    let samples = (0..parts).flat_map(of_part).map(|(batch, at)| sample(batch, at)).collect();
    let mut bad: Vec<_> =
        batches.iter().flat_map(|batch| &batch.bad_samples).map(|bad| bad.key.clone()).collect();
    bad.sort();
    let nexts: BTreeSet<_> = batches.iter().map(|batch| batch.next).collect();
    assert_eq!(nexts.len(), 1, "ranks are at different positions");
    Global { samples, bad, next: *nexts.first().unwrap() }
}

/// Loads batches on all ranks of a division.
fn batches(set: &ShardSet, order: &Order, division: Division, from: Position, steps: usize) -> Vec<Global> {
    let of_rank = |rank| load(set, order, Division { rank, ..division }, from, ("100%", 2));
    let mut loaders: Vec<_> = (0..division.ranks).map(of_rank).collect();
    let mut next = || loaders.iter_mut().map(|loader| loader.next().unwrap().unwrap()).collect::<Vec<_>>();
    (0..steps).map(|_| global(&next(), division.parts)).collect()
}

/// Returns for each place of the batches its own sample and the one that must fill it, each as (epoch, index), from
/// the sequences of the partitions: with as many ranks as partitions and one sample of each in a batch, each rank has
/// the sequence of a partition.
fn expected(set: &ShardSet, order: &Order, parts: usize) -> Vec<[(u64, u64); 2]> {
    let partitions = order.partitions;
    let sequence = |rank| -> Vec<(u64, u64)> {
        let division = Division { rank, ranks: partitions, batch: partitions, parts: 1 };
        let samples = set.samples(order.clone(), division, Position::default());
        let place =
            |sample: shards::Result<shards::Sample>| sample.map(|sample| (sample.epoch, sample.index));
        // A sample that cannot be read is the last of the set.
        let places = samples.take(STEPS * BATCH / partitions + 10).map(place);
        let mut epoch = 0;
        places
            .map(|place| {
                let place = place.unwrap_or((epoch, 52));
                epoch = place.0;
                place
            })
            .collect()
    };
    let sequences: Vec<_> = (0..partitions).map(sequence).collect();
    let run = BATCH / partitions / parts;
    let slices = (0..STEPS * parts).flat_map(|part| (0..partitions).map(move |partition| (part, partition)));
    let places =
        slices.flat_map(|(part, partition)| (part * run..).take(run).map(move |place| (partition, place)));
    let fill = |(partition, place): (usize, usize)| {
        let following: &[(u64, u64)] = &sequences[partition][place..];
        [following[0], *following.iter().find(|(_, index)| is_good(*index)).unwrap()]
    };
    places.map(fill).collect()
}

/// Draws numbers of ranks and of steps, which are those of a whole run together. `case` determines them.
fn switches(case: &str) -> Vec<(usize, usize)> {
    let mut draws = 0u64;
    let mut draw = |most: usize| {
        draws += 1;
        let mut hasher = DefaultHasher::new();
        (case, draws).hash(&mut hasher);
        hasher.finish() as usize % most
    };
    let (mut switches, mut left) = (Vec::new(), STEPS);
    while left > 0 {
        let steps = left.min(1 + draw(7));
        switches.push(([1, 2, 4][draw(3)], steps));
        left -= steps;
    }
    switches
}

#[test]
fn the_next_good_sample_takes_the_place_of_a_bad_one_for_any_number_of_ranks() {
    let (_folder, set) = mixed();
    // By epoch and index.
    let mut views: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for shuffle in ["window:32", "global", "none"] {
        for (partitions, parts) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let order = order(shuffle, partitions);
            let case = format!("{shuffle}, {partitions} partitions, {parts} parts");
            let division = |ranks| Division { rank: 0, ranks, batch: BATCH, parts };
            let load = |ranks, from, steps| batches(&set, &order, division(ranks), from, steps);
            let one = load(1, Position::default(), STEPS);
            let expected = expected(&set, &order, parts);
            assert!(expected.iter().any(|[(epoch, _), _]| *epoch == 3), "three epochs and more");
            let filled = one.iter().flat_map(|batch| &batch.samples);
            for ((index, bytes), [_, fill]) in filled.zip(&expected) {
                assert_eq!(*index, fill.1, "{case}");
                assert!(views.entry(*fill).or_insert_with(|| bytes.clone()) == bytes, "{case}: {fill:?}");
            }
            for (batch, places) in one.iter().zip(expected.chunks(BATCH)) {
                let bad = places.iter().filter(|[(_, own), _]| !is_good(*own));
                // The key of the one that cannot be read is not known.
                let key = |own: u64| if own == 52 { "#52".to_owned() } else { own.to_string() };
                let mut bad: Vec<_> = bad.map(|[(_, own), _]| key(*own)).collect();
                bad.sort();
                assert_eq!(batch.bad, bad, "{case}");
            }
            assert!(load(2, Position::default(), STEPS) == one, "{case}: two ranks");
            assert!(load(4, Position::default(), STEPS) == one, "{case}: four ranks");
            let mut resumed = Vec::new();
            let switches = switches(&case);
            for &(ranks, steps) in &switches {
                let from = resumed.last().map_or_else(Position::default, |batch: &Global| batch.next);
                resumed.extend(load(ranks, from, steps));
            }
            assert!(resumed == one, "{case}: (ranks, steps) {switches:?}");
        }
    }
}

#[test]
fn replaced_samples_do_not_depend_on_the_number_of_workers() {
    let (_folder, set) = mixed();
    let load = |workers| {
        let loader = load(
            &set,
            &order("window:32", 1),
            Division { batch: BATCH, ..Division::default() },
            Position::default(),
            ("100%", workers),
        );
        loader.take(STEPS).map(|batch| global(&[batch.unwrap()], 1)).collect::<Vec<_>>()
    };
    assert!(load(1) == load(5));
}

#[test]
fn samples_that_are_all_bad_end_with_the_error_of_the_budget_or_of_no_good_one() {
    let (_folder, set) = of_bad(64);
    for (max_bad, workers) in
        [("1%", 1), ("1%", 4), ("10", 3), ("40", 2), ("100%", 2), ("64", 2), ("50% after 10 samples", 2)]
    {
        for (rank, ranks, partitions) in [(0, 1, 1), (1, 2, 1), (0, 1, 2), (1, 4, 2)] {
            let division = Division { rank, ranks, batch: BATCH, parts: 1 };
            let mut loader =
                load(&set, &order("global", partitions), division, Position::default(), (max_bad, workers));
            let results: Vec<_> = loader.by_ref().collect();
            assert_eq!(results.len(), 1, "{max_bad}: there is no batch");
            let found = match results[0].as_ref().unwrap_err() {
                Error::TooManyBad { bad, seen, .. } => (*bad, *seen),
                Error::NoneGood { samples, .. } => (*samples as u64, 0),
                other => panic!("{max_bad}: {other}"),
            };
            let expected = match max_bad {
                "1%" => (1_000, 1_000),
                "10" => (11, 11),
                // Half of the samples are in each partition.
                "40" if partitions == 2 => (32, 0),
                "40" => (41, 41),
                "100%" => (1_000, 0),
                "64" => (64 / partitions as u64, 0),
                _ => (10, 10),
            };
            assert_eq!(found, expected, "{max_bad}, rank {rank} of {ranks}, {partitions} partitions");
            assert_eq!(loader.finish().len() as u64, expected.0, "all of them are reported");
        }
    }
}

#[test]
fn bad_samples_of_a_stream_with_an_end_are_left_out() {
    let (_folder, set) = mixed();
    let order = Order { epochs: Some(1), ..order("none", 1) };
    let division = Division { batch: BATCH, ..Division::default() };
    let mut loader = load(&set, &order, division, Position::default(), ("100%", 2));
    let indices: Vec<u64> =
        loader.by_ref().flat_map(|batch| batch.unwrap().indices).map(|index| index as u64).collect();
    assert!(indices.into_iter().eq((0..53).filter(|index| is_good(*index))));
    assert_eq!(loader.stats().bad, 4);
}

#[test]
fn a_long_run_of_bad_samples_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("0.tar"), (0..3_020).map(|number| (number, number >= 3_000)));
    let division = Division { batch: BATCH, ..Division::default() };
    let mut loader = load(&open(&folder), &order("none", 1), division, Position::default(), ("100%", 2));
    for number in 0..375 {
        let batch = loader.next().unwrap().unwrap();
        assert_eq!(batch.indices, [3_000; BATCH]);
        let bad: Vec<u64> = batch.bad_samples.iter().map(|bad| bad.key.parse().unwrap()).collect();
        assert!(bad.into_iter().eq((number * BATCH as u64..).take(BATCH)));
    }
    assert_eq!(loader.next().unwrap().unwrap().indices[..3], [3_000, 3_001, 3_002]);
}

#[test]
fn a_loader_dropped_while_it_searches_for_a_good_sample_ends() {
    let (_folder, set) = of_bad(20);
    let division = Division { batch: BATCH, ..Division::default() };
    let patient = ("100% after 1000000000 samples", 2);
    let loader = load(&set, &order("global", 1), division, Position::default(), patient);
    while loader.stats().decode.cpu_us == 0 {
        std::thread::yield_now();
    }
    drop(loader);
}
