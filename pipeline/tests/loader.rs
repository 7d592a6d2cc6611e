//! The loader's public interface, on real JPEGs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{io, sync::Arc};

use common::{damaged, every_operation, sample};
use pipeline::{
    BadSample, BadSampleBudget, Batch, Error, Hint, Loader, LoaderConfig, Preset, Recipe, Renderer, Result,
    SampleSeed,
};
use shards::{Position, Sample};

type Slab = Vec<u8>;

fn config(workers: usize, batch_size: usize) -> LoaderConfig {
    LoaderConfig { workers, batch_size, max_bad: BadSampleBudget::Count(1_000), ..LoaderConfig::default() }
}

fn slabs(config: &LoaderConfig) -> Vec<Slab> {
    slabs_for(&Preset::Stl10.recipe(), config)
}

fn slabs_for(recipe: &Recipe, config: &LoaderConfig) -> Vec<Slab> {
    vec![vec![0; config.bytes(recipe)]; config.slabs()]
}

fn load<I>(samples: I, config: &LoaderConfig) -> Loader<Slab>
where
    I: IntoIterator<Item = shards::Result<Sample>, IntoIter: Send + 'static>,
{
    Loader::spawn(samples.into_iter(), Preset::Stl10.recipe(), slabs(config), config).unwrap()
}

/// Makes a stream in which every seventh sample is damaged.
fn mixed(from: u64, to: u64) -> impl Iterator<Item = shards::Result<Sample>> + Send + 'static {
    (from..to).map(|index| Ok(if index % 7 == 3 { damaged(index) } else { sample(index) }))
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    bytes: Vec<u8>,
    labels: Vec<i64>,
    indices: Vec<i64>,
    bad_samples: Vec<BadSample>,
    next: Position,
}

fn seen(batch: Result<Batch<Slab>>) -> Seen {
    let batch = batch.unwrap();
    Seen {
        bytes: batch.bytes().to_vec(),
        labels: batch.labels.clone(),
        indices: batch.indices.clone(),
        bad_samples: batch.bad_samples.clone(),
        next: batch.next,
    }
}

fn keys(samples: &[BadSample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.key.as_str()).collect()
}

#[test]
fn batches_do_not_depend_on_the_number_of_workers() {
    let [one, two, seven] =
        [1, 2, 7].map(|workers| -> Vec<Seen> { load(mixed(0, 60), &config(workers, 8)).map(seen).collect() });
    assert_eq!(one.len(), 7);
    assert_eq!(one, two);
    assert_eq!(one, seven);
}

#[test]
fn batches_of_every_operation_do_not_depend_on_the_number_of_workers() {
    let recipe = every_operation(48);
    let [one, five] = [1, 5].map(|workers| -> Vec<Seen> {
        let config = config(workers, 8);
        let slabs = slabs_for(&recipe, &config);
        Loader::spawn(mixed(0, 40), recipe.clone(), slabs, &config).unwrap().map(seen).collect()
    });
    assert_eq!(one.len(), 5);
    assert_eq!(one, five);
}

#[test]
fn each_view_of_a_batch_is_that_of_its_sample_whatever_its_side() {
    let recipe = every_operation(48);
    let config = config(2, 8);
    let mut renderer = Renderer::new(recipe.clone(), config.decode, config.max_pixels);
    let mut rendered = vec![0; recipe.bytes()];
    let slabs = slabs_for(&recipe, &config);
    let mut seen = Vec::new();
    for batch in Loader::spawn(mixed(0, 15), recipe.clone(), slabs, &config).unwrap() {
        let batch = batch.unwrap();
        seen.push(batch.samples());
        assert_eq!(batch.bytes().len(), batch.samples() * recipe.bytes());
        for (place, &index) in batch.indices.iter().enumerate() {
            let sample = sample(index as u64);
            let seed = SampleSeed { seed: config.seed, epoch: 0, index: index as u64 };
            sample.image.read(|bytes| renderer.decode(bytes, seed)).unwrap().unwrap();
            renderer.render(&mut rendered);
            let mut rest = &rendered[..];
            for (number, (side, _)) in recipe.views().enumerate() {
                let bytes = 3 * side as usize * side as usize;
                assert!(
                    batch.view(number)[place * bytes..][..bytes] == rest[..bytes],
                    "{index}, view {number}"
                );
                rest = &rest[bytes..];
            }
        }
    }
    // A full batch and a part of one: damaged samples are left out.
    assert_eq!(seen, [8, 5]);
}

#[test]
fn a_resumed_stream_continues_with_the_next_sample() {
    let whole: Vec<Seen> = load(mixed(0, 60), &config(3, 8)).map(seen).collect();
    let rest: Vec<Seen> = load(mixed(whole[2].next.offset, 60), &config(2, 8)).map(seen).collect();
    assert_eq!(whole[3..], rest);
}

#[test]
fn another_seed_gives_other_views_of_the_same_samples() {
    let [a, b] =
        [1, 2].map(|seed| seen(load(mixed(0, 8), &LoaderConfig { seed, ..config(1, 6) }).next().unwrap()));
    assert_eq!(a.indices, b.indices);
    assert_ne!(a.bytes, b.bytes);
}

#[test]
fn a_partial_batch_has_no_gaps() {
    let full = seen(load(mixed(4, 9), &config(1, 5)).next().unwrap());
    let partial = load(mixed(4, 9), &config(2, 9)).next().unwrap().unwrap();
    assert_eq!(partial.samples(), 5);
    assert_eq!(partial.bytes(), full.bytes);
    assert_eq!([partial.view(0), partial.view(1)].concat(), full.bytes);
}

#[test]
fn the_last_samples_are_dropped_on_request() {
    let config = LoaderConfig { drop_last: true, ..config(2, 4) };
    let sizes: Vec<usize> =
        load((0..10).map(|i| Ok(sample(i))), &config).map(|b| b.unwrap().samples()).collect();
    assert_eq!(sizes, [4, 4]);
}

#[test]
fn a_sample_without_label_has_label_minus_one() {
    let batch = seen(load((4..7).map(|i| Ok(sample(i))), &config(1, 3)).next().unwrap());
    assert_eq!(batch.labels, [4, -1, 6]);
}

#[test]
fn bad_samples_are_reported_in_order_with_the_batch_that_follows_them() {
    let imageless = Sample { image: shards::Encoded::default(), ..sample(0) };
    let source = io::Error::other("beyond the end of the file");
    let unreadable =
        shards::Error::Sample { shard: "train-000.tar".into(), offset: 9, key: "cut".into(), source };
    let samples = [
        Ok(imageless),
        Ok(sample(1)),
        Ok(sample(2)),
        Err(unreadable),
        Ok(sample(4)),
        Ok(sample(5)),
        Ok(damaged(6)),
    ];
    let mut loader = load(samples, &config(3, 2));
    let batches: Vec<Seen> = loader.by_ref().map(seen).collect();
    assert_eq!(batches.len(), 2);
    assert_eq!(keys(&batches[0].bad_samples), ["00000"]);
    assert_eq!(batches[0].bad_samples[0].reason, "has no image");
    assert_eq!(keys(&batches[1].bad_samples), ["cut"]);
    assert_eq!(batches[1].bad_samples[0].reason, "cannot be read: beyond the end of the file");
    assert_eq!(loader.stats().bad, 3);
    assert_eq!(keys(&loader.finish()), ["00006"]);
}

#[test]
fn the_error_above_the_budget_names_the_last_bad_sample() {
    let config = LoaderConfig { max_bad: BadSampleBudget::Count(2), ..config(4, 8) };
    let mut loader = load(mixed(0, 60), &config);
    let results: Vec<_> = loader.by_ref().collect();
    assert_eq!(results.len(), 2, "indices 3 and 10 are allowed, 17 is not");
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.hint(), Some(Hint::AllowMore));
    let message = error.to_string();
    assert!(
        message.starts_with("3 of 18 samples are bad, more than 2; the last: sample `00017`"),
        "{message}"
    );
    assert!(message.contains("`train-001.tar` at byte 17920"), "{message}");
    assert_eq!(keys(&loader.finish()), ["00010", "00017"]);
}

#[test]
fn a_rate_is_exceeded_at_the_same_sample_for_any_number_of_workers() {
    let max_bad = BadSampleBudget::Rate { share: 0.1, trial: 20 };
    for workers in [1, 6] {
        let error = load(mixed(0, 60), &LoaderConfig { max_bad, ..config(workers, 8) }).find_map(Result::err);
        assert!(matches!(error, Some(Error::TooManyBad { bad: 3, seen: 20, .. })), "{error:?}");
    }
}

#[test]
fn any_other_error_of_the_source_ends_the_stream() {
    let open = || shards::Error::Open { path: "gone.tar".into(), source: io::ErrorKind::NotFound.into() };
    let samples = (0..9).map(move |i| if i == 6 { Err(open()) } else { Ok(sample(i)) });
    let results: Vec<_> = load(samples, &config(2, 4)).collect();
    assert_eq!(results.len(), 2);
    assert!(matches!(results[1], Err(Error::Samples(shards::Error::Open { .. }))), "{:?}", results[1]);
}

#[test]
fn a_panic_of_the_source_is_reported_with_its_message() {
    let samples =
        (0..).map(|i| if i == 5 { panic!("no more samples, no more words") } else { Ok(sample(i)) });
    let error = load(samples, &config(2, 4)).find_map(Result::err).unwrap().to_string();
    assert_eq!(error, "thread `reader` panicked: no more samples, no more words");
}

#[test]
fn a_loader_dropped_while_all_queues_are_full_ends() {
    let one = Arc::new(sample(3));
    let source = one.clone();
    let mut loader = load(std::iter::repeat_with(move || Ok((*source).clone())), &config(3, 4));
    // All slabs are in use: one here, the others waiting. No thread can go on.
    let batch = loader.next().unwrap().unwrap();
    while loader.stats().samples < 16 {
        std::thread::yield_now();
    }
    drop(loader);
    assert_eq!(Arc::strong_count(&one), 1, "the source was dropped with its thread");
    assert_eq!(batch.indices, [3; 4]);
}

#[test]
fn a_loader_dropped_while_all_slabs_are_held_ends() {
    let config = config(2, 2);
    let mut loader = load((0..).map(|i| Ok(sample(i % 20))), &config);
    let held: Vec<_> = loader.by_ref().take(config.slabs()).collect();
    drop(loader);
    assert!(held.iter().all(Result::is_ok));
}

#[test]
fn an_untouched_loader_can_be_dropped() {
    drop(load((0..).map(|i| Ok(sample(i % 20))), &config(2, 64)));
}

#[test]
fn an_empty_stream_has_no_batch() {
    assert!(load(std::iter::empty(), &config(2, 4)).next().is_none());
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_cure() {
    let refusal = |slabs: Vec<Slab>, config: LoaderConfig| {
        let samples = std::iter::empty();
        Loader::spawn(samples, Preset::Stl10.recipe(), slabs, &config).unwrap_err().to_string()
    };
    let small = vec![vec![0; 98_303]; 4];
    assert_eq!(refusal(small, config(1, 4)), "a slab of 98303 bytes is too small: a batch takes 98304");
    assert_eq!(refusal(Vec::new(), config(1, 4)), "0 slabs are too few: `prefetch` + 2 = 4 are needed");
    assert!(refusal(slabs(&config(1, 4)), config(0, 4)).starts_with("`workers` is 0"));
}

#[test]
fn slabs_are_reused_and_times_are_counted() {
    let mut loader = load((0..60).map(|i| Ok(sample(i))), &config(2, 4));
    assert_eq!(loader.by_ref().count(), 15);
    let stats = loader.stats();
    assert_eq!((stats.samples, stats.bad), (60, 0));
    assert!(stats.decode.cpu_us > 0 && stats.augment.cpu_us > 0, "{stats:?}");
}
