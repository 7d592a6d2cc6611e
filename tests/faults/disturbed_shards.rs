//! Shards that change while they are mapped and read.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
};

use pipeline::{Loader, LoaderConfig, Preset};
use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet, Shuffle};

use dataset::Random;

use crate::{
    amount,
    support::{Entry, Place, jpeg, lines, tensors},
    watched::{Ended, Watched, last_step},
};

const SHARDS: usize = 3;
const PER_SHARD: usize = 40;
const EPOCHS: u64 = 3;

/// What is done to a shard under whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    /// Cut in place.
    Cut,
    /// Cut, and grown again with zeros.
    Emptied,
    /// Overwritten in place, in part.
    Overwritten,
    /// Another file takes its name.
    Replaced,
    Removed,
    /// Nobody may read it any more.
    Forbidden,
}

use Harm::{Cut, Emptied, Forbidden, Overwritten, Removed, Replaced};

impl Harm {
    const ALL: [Self; 6] = [Cut, Emptied, Overwritten, Replaced, Removed, Forbidden];

    /// Whether what was mapped before stays as it was.
    fn spares_the_mapped(self) -> bool {
        matches!(self, Replaced | Removed | Forbidden)
    }

    fn be_done(self, path: &Path, random: &mut Random) {
        let length = path.metadata().unwrap().len();
        let file = || File::options().write(true).open(path).unwrap();
        match self {
            Cut => file().set_len(random.below(length as usize) as u64).unwrap(),
            Emptied => {
                file().set_len(random.below(length as usize) as u64).unwrap();
                file().set_len(length).unwrap();
            }
            Overwritten => {
                let noise: Vec<u8> = (0..length / 8).map(|_| random.next_u64() as u8).collect();
                file().write_all_at(&noise, random.below((length - length / 8) as usize) as u64).unwrap();
            }
            Replaced => {
                let other = path.with_extension("new");
                fs::write(&other, vec![7; length as usize]).unwrap();
                fs::rename(other, path).unwrap();
            }
            Removed => fs::remove_file(path).unwrap(),
            Forbidden => fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap(),
        }
    }
}

/// By epoch and sample.
type Views = HashMap<(u64, i64), Vec<u8>>;

/// The views of every sample of every epoch, and the samples that were bad, of a loader under which something
/// happens after some batches.
fn load(place: &Place, pattern: &str, happen: impl FnOnce(), after: usize) -> (Views, Vec<String>) {
    let source = LocalSource::new(&[pattern.to_owned()]).unwrap();
    let set = ShardSet::open(source, &IndexConfig { cache: Some(place.path("cache")), threads: 1 }).unwrap();
    let order = Order { shuffle: Shuffle::Global, epochs: Some(EPOCHS), ..Order::default() };
    let samples = set.samples(order, Division::default(), Position::default());
    let recipe = Preset::C10.recipe();
    let max_bad = "100%".parse().unwrap();
    let config = LoaderConfig { workers: 2, batch_size: 1, prefetch: 1, max_bad, ..LoaderConfig::default() };
    let slabs = vec![vec![0; config.bytes(&recipe)]; config.slabs()];
    let mut loader = Loader::spawn(samples, recipe, slabs, &config).unwrap();
    let (mut views, mut bad, mut happen) = (HashMap::new(), Vec::new(), Some(happen));
    for number in 0.. {
        if number == after {
            happen.take().unwrap()();
        }
        let Some(batch) = loader.next() else { break };
        let batch = batch.unwrap();
        bad.extend(batch.bad_samples.iter().map(|sample| sample.shard.to_string()));
        // The position after a sample that ends an epoch may be told as of the next one.
        let at = batch.next.epoch * (SHARDS * PER_SHARD) as u64 + batch.next.offset - 1;
        let epoch = at / (SHARDS * PER_SHARD) as u64;
        assert!(views.insert((epoch, batch.indices[0]), batch.bytes().to_vec()).is_none());
    }
    bad.extend(loader.finish().iter().map(|sample| sample.shard.to_string()));
    (views, bad)
}

#[test]
fn a_shard_disturbed_while_it_is_read_gives_right_samples_or_bad_ones() {
    let place = Place::new();
    let mut random = Random::new(&[8]);
    let pattern = place.shards("train", SHARDS, PER_SHARD);
    let copies: Vec<_> = (0..SHARDS)
        .map(|shard| {
            let path = place.path(&format!("train-{shard:03}.tar"));
            (path.clone(), fs::read(path).unwrap())
        })
        .collect();
    let (expected, none) = load(&place, &pattern, || {}, 0);
    assert!(expected.len() == EPOCHS as usize * SHARDS * PER_SHARD && none.is_empty());
    let (mut right, mut listed, rounds) = (0, 0, amount(60, 1_200));
    for round in 0..rounds {
        for (path, bytes) in &copies {
            drop(fs::remove_file(path));
            fs::write(path, bytes).unwrap();
        }
        let harm = Harm::ALL[round % Harm::ALL.len()];
        let victim = &copies[random.below(SHARDS)].0;
        let after = random.below(expected.len() / 2);
        let (views, bad) = load(&place, &pattern, || harm.be_done(victim, &mut random), after);
        // Bytes that were overwritten may still be an image; of the others every one is as it was, or bad.
        if harm != Overwritten {
            for (sample, views) in &views {
                assert!(views == &expected[sample], "{harm:?} after {after}: {sample:?} has other views");
            }
        }
        assert_eq!(views.len() + bad.len(), expected.len(), "{harm:?} after {after}");
        assert!(bad.iter().all(|shard| Path::new(shard) == victim), "{harm:?}: {bad:?}");
        right += views.len();
        listed += bad.len();
    }
    println!(
        "shards cut, emptied, overwritten, replaced, removed, forbidden while they are read: {rounds} times, {right} samples as \
         ever, {listed} bad ones, all of that shard"
    );
}

#[test]
fn a_training_run_survives_what_happens_to_its_shards() {
    let (count, per_shard) = (24, 40);
    let mut random = Random::new(&[9]);
    let (mut same, mut without) = (0, 0);
    for round in 0..amount(2, 24) {
        let place = Place::new();
        // In the order of the shards, so that the first are mapped, and the last not yet, when it happens.
        let more = ["--shuffle", "none", "--steps", "90", "--max-bad", "100%"];
        let pattern = place.shards("train", count, per_shard);
        Ended::of(&mut place.train(&pattern, "whole", &more)).assert_done();
        let harm = Harm::ALL[(round * 3 + round / 2) % Harm::ALL.len()];
        let is_first = round % 2 == 0;
        let victim = place.path(&format!("train-{:03}.tar", if is_first { 0 } else { count - 1 }));
        let run = place.path("run");
        let mut child = Watched::start(&mut place.train(&pattern, "run", &more));
        assert!(child.until(|| last_step(&run) > 0), "{:?}", child.wait());
        harm.be_done(&victim, &mut random);
        child.wait().assert_done();
        let listed = lines(&run.join("bad-samples.jsonl"));
        let names = |line: &serde_json::Value| Path::new(line["shard"].as_str().unwrap()) == victim;
        assert!(listed.iter().all(names), "{harm:?}: {listed:?}");
        let is_same = tensors(&place.path("whole"), 90) == tensors(&run, 90);
        // Nothing is lost silently: other bits have a reason in the list, and what was mapped before is not lost at all.
        assert!(is_same || !listed.is_empty() || harm == Overwritten, "{harm:?} of {}", victim.display());
        assert!(is_same || !(is_first && harm.spares_the_mapped()), "{harm:?} of a mapped shard: {listed:?}");
        same += usize::from(is_same);
        without += usize::from(!is_same);
    }
    println!(
        "shards disturbed under a training run: {same} runs came to the same bits, {without} went on without the samples that \
         were lost, every shard named"
    );
}

#[test]
fn a_set_of_nothing_but_damage_is_refused() {
    let place = Place::new();
    place.write(
        "train-000.tar",
        (0..20).map(|number| Entry { key: number.to_string(), image: jpeg(number), label: None }),
    );
    let path = place.path("train-000.tar");
    let whole = fs::read(&path).unwrap();
    let (mut random, mut refused) = (Random::new(&[10]), 0);
    for round in 0..amount(4, 60) {
        let mut bytes = whole.clone();
        match round % 4 {
            0 => bytes.truncate(random.below(1024)),
            1 => bytes.iter_mut().for_each(|byte| *byte = random.next_u64() as u8),
            2 => bytes.fill(0),
            // Headers all along are damaged, images are not.
            _ => bytes.chunks_mut(512).for_each(|block| block[0] ^= 0x10),
        }
        fs::write(&path, bytes).unwrap();
        let pattern = path.to_str().unwrap();
        let ended = Ended::of(&mut place.train(pattern, &format!("run-{round}"), &["--steps", "2"]));
        ended.assert_refused();
        assert!(ended.stderr.contains(pattern), "{}", ended.stderr);
        refused += 1;
    }
    println!("shards of nothing but damage: {refused} refused, by name");
}
