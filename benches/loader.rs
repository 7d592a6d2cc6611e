//! Image pairs per second of the loader, and the time of its stages.
//!
//! `cargo bench -p pipeline --bench loader`

use std::thread;

use pipeline::{
    Cpu, DecodeMode, Decoder, Loader, LoaderConfig, Preset, Recipe, Renderer, Rgb, SampleSeed, StageStats,
    Stats, encode_jpeg, resize,
};
use shards::{Encoded, Position, Sample};

use common::{Table, measure, once, thread_cpu_s};

mod common;
mod photos;
mod recipes;

const PHOTOS: u64 = 40;
const SAMPLES: u64 = 1_600;
const ROUNDS: u64 = 15;

fn main() {
    let photos = photos::photos(PHOTOS);
    let mut table = Table::new("pairs: JPEGs of 500×375 pixels, two views by the recipe `in128`, one thread");
    let recipe = Preset::In128.recipe();
    let ratios = pairs(&mut table, &recipe, &photos);
    scaling(&mut table, &photos);
    let mut table = Table::new("loader: the same pairs through threads and channels");
    let bound = bound(&photos);
    table.row("the bound: libjpeg-turbo alone, one thread", bound, "µs CPU/image");
    for (decode, workers) in
        [(DecodeMode::Exact, 1), (DecodeMode::Exact, 2), (DecodeMode::Fast, 1), (DecodeMode::Fast, 2)]
    {
        let (wall_s, process_s, stats) = load(&photos, decode, workers);
        let samples = SAMPLES as f64;
        table.row(&format!("{decode}, {workers} workers: image pairs"), samples / wall_s, "pairs/s");
        table.row("    whole process", process_s / samples * 1e6, "µs CPU/pair");
        table.row("    cost relative to the bound", process_s / samples * 1e6 / bound, "×");
        for (name, stage) in [
            ("read", stats.read),
            ("decode", stats.decode),
            ("augment", stats.augment),
            ("batch", stats.batch),
        ] {
            stage_rows(&mut table, name, stage);
        }
    }
    let small: Vec<Vec<u8>> = photos.iter().map(|photo| shrink(photo)).collect();
    let bytes = |photos: &[Vec<u8>]| photos.iter().map(Vec::len).sum::<usize>() as f64;
    let mut table =
        Table::new("pairs: the same photos after `pack --resize 256 --quality 90`, 341×256 pixels");
    table.row("bytes relative to the originals", bytes(&small) / bytes(&photos), "×");
    let small = pairs(&mut table, &recipe, &small);
    for (mode, (small, large)) in [DecodeMode::Exact, DecodeMode::Fast].iter().zip(small.iter().zip(ratios)) {
        table.row(&format!("{mode}: cost of a pair relative to the originals"), small / large, "×");
    }
    for (title, with_blur) in [("", true), (" without its blur", false)] {
        let title = format!("pairs: the photos, two views of 224 pixels by the recipe of MoCo v2{title}");
        pairs(&mut Table::new(&title), &recipes::moco_v2(with_blur), &photos);
    }
    let mut table = Table::new("pairs: the photos, two views of 224 pixels by the recipe of SimCLR");
    pairs(&mut table, &recipes::simclr(), &photos);
}

/// Resizes a photo to a short side of 256 pixels, as `pack --resize` does.
fn shrink(photo: &[u8]) -> Vec<u8> {
    let image = pipeline::decode(photo, u64::MAX).expect("a photo decodes");
    encode_jpeg(&resize(&image, 341, 256), 90).expect("the size is a JPEG's")
}

/// Compares a pair on one thread with the bound, in turns, and prints the least time of all rounds. Returns
/// the seconds of all pairs, exact and fast, with the best instructions of this CPU.
fn pairs(table: &mut Table, recipe: &Recipe, photos: &[Vec<u8>]) -> [f64; 2] {
    let mut contenders: Vec<Contender> = Cpu::available()
        .into_iter()
        .skip(1) // the portable code runs only on CPUs without vector instructions
        .flat_map(|cpu| [DecodeMode::Exact, DecodeMode::Fast].map(|mode| Contender::new(cpu, mode, recipe)))
        .collect();
    let mut decoder = Decoder::new(u64::MAX);
    let mut image = Rgb::default();
    let mut bound = f64::INFINITY;
    for round in 0..ROUNDS {
        let bare = once(|| {
            for photo in photos {
                decoder.decode(photo, &mut image).expect("a photo decodes");
            }
        });
        bound = bound.min(bare.thread_s);
        for contender in &mut contenders {
            contender.run(photos, round);
        }
    }
    let us = |seconds: f64| seconds / photos.len() as f64 * 1e6;
    table.row("the bound: libjpeg-turbo alone", us(bound), "µs CPU/image");
    for Contender { cpu, mode, best, .. } in &contenders {
        let whole: f64 = best.iter().sum();
        table.row(&format!("{mode}, {cpu}: the whole pair"), us(whole), "µs CPU/pair");
        for (name, seconds) in ["decode", "augment", "batch"].iter().zip(best) {
            table.row(&format!("    {name}"), us(*seconds), "µs CPU/pair");
        }
        table.row("    cost relative to the bound", whole / bound, "×");
    }
    let [.., exact, fast] = &contenders[..] else { return [f64::NAN; 2] };
    [exact, fast].map(|contender| contender.best.iter().sum())
}

/// A renderer with one kind of instructions and one mode.
struct Contender {
    cpu: Cpu,
    mode: DecodeMode,
    renderer: Renderer,
    views: Vec<u8>,
    slab: Vec<u8>,
    /// Seconds of decoding, augmenting and batching all photos, in the fastest round.
    best: [f64; 3],
}

impl Contender {
    fn new(cpu: Cpu, mode: DecodeMode, recipe: &Recipe) -> Self {
        let (views, slab) = (vec![0; recipe.bytes()], vec![0; recipe.bytes()]);
        let renderer = Renderer::on(cpu, recipe.clone(), mode, u64::MAX);
        Self { cpu, mode, renderer, views, slab, best: [f64::INFINITY; 3] }
    }

    fn run(&mut self, photos: &[Vec<u8>], round: u64) {
        let Self { renderer, views, slab, .. } = self;
        let mut seconds = [0.0; 3];
        for (photo, index) in photos.iter().zip(round * PHOTOS..) {
            let seed = SampleSeed { seed: 1, epoch: 0, index };
            let start = thread_cpu_s();
            renderer.decode(photo, seed).expect("a photo decodes");
            let decoded = thread_cpu_s();
            renderer.render(views);
            let rendered = thread_cpu_s();
            slab.copy_from_slice(views);
            std::hint::black_box(&mut *slab);
            let end = thread_cpu_s();
            for (sum, time) in seconds.iter_mut().zip([decoded - start, rendered - decoded, end - rendered]) {
                *sum += time;
            }
        }
        if seconds.iter().sum::<f64>() < self.best.iter().sum() {
            self.best = seconds;
        }
    }
}

/// Compares the speed of two independent threads with that of one, by the wall clock, for pairs and for
/// libjpeg-turbo alone, which shows how far the machine itself scales.
fn scaling(table: &mut Table, photos: &[Vec<u8>]) {
    let render = || {
        let recipe = Preset::In128.recipe();
        let mut contender = Contender::new(Cpu::default(), DecodeMode::Exact, &recipe);
        (0..ROUNDS).for_each(|round| contender.run(photos, round));
    };
    let decode = || {
        let mut decoder = Decoder::new(u64::MAX);
        let mut image = Rgb::default();
        for photo in (0..ROUNDS).flat_map(|_| photos) {
            decoder.decode(photo, &mut image).expect("a photo decodes");
        }
    };
    let mut least = [[f64::INFINITY; 2]; 2];
    for _ in 0..3 {
        for (least, work) in least.iter_mut().zip([&render as &(dyn Fn() + Sync), &decode]) {
            for (least, threads) in least.iter_mut().zip(1..) {
                let time = once(|| {
                    thread::scope(|scope| {
                        for _ in 0..threads {
                            scope.spawn(work);
                        }
                    });
                });
                *least = least.min(time.wall_s);
            }
        }
    }
    let [render, decode] = least.map(|[one, two]| 2.0 * one / two);
    table.row("two threads relative to one: exact pairs", render, "×");
    table.row("    libjpeg-turbo alone", decode, "×");
}

/// Returns the CPU time of libjpeg-turbo alone, in µs per image.
fn bound(photos: &[Vec<u8>]) -> f64 {
    let mut decoder = Decoder::new(u64::MAX);
    let mut image = Rgb::default();
    let mut decode = |photo: &Vec<u8>| decoder.decode(photo, &mut image).expect("a photo decodes");
    measure(7, || photos.iter().for_each(&mut decode)).thread_s / photos.len() as f64 * 1e6
}

fn load(photos: &[Vec<u8>], decode: DecodeMode, workers: usize) -> (f64, f64, Stats) {
    let photos: Vec<Encoded> = photos.iter().cloned().map(Encoded::from).collect();
    let samples = (0..SAMPLES).map(move |index| Ok(sample(&photos, index)));
    let recipe = Preset::In128.recipe();
    let config = LoaderConfig { workers, decode, batch_size: 64, ..LoaderConfig::default() };
    let slabs = vec![vec![0; config.bytes(&recipe)]; config.slabs()];
    let mut loader = Loader::spawn(samples, recipe, slabs, &config).expect("the set-up is right");
    let time = once(|| assert!(loader.by_ref().all(|batch| batch.is_ok()), "every photo decodes"));
    (time.wall_s, time.process_s, loader.stats())
}

fn sample(photos: &[Encoded], index: u64) -> Sample {
    Sample {
        shard: "memory".into(),
        key: index.to_string(),
        offset: 0,
        index,
        epoch: 0,
        image: photos[index as usize % photos.len()].clone(),
        label: None,
        next: Position { epoch: 0, offset: index + 1 },
    }
}

fn stage_rows(table: &mut Table, name: &str, stage: StageStats) {
    let per_pair = |us: u64| us as f64 / SAMPLES as f64;
    table.row(&format!("    {name}"), per_pair(stage.cpu_us), "µs CPU/pair");
    table.row(&format!("    {name}, waiting for input"), per_pair(stage.input_us), "µs/pair");
    table.row(&format!("    {name}, waiting for room"), per_pair(stage.output_us), "µs/pair");
}
