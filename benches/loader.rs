//! How many image pairs a second the loader makes, and where the time goes.
//!
//! `cargo bench -p pipeline --bench loader`

use pipeline::{
    DecodeMode, Decoder, Loader, LoaderConfig, Occasion, Preset, Renderer, Rgb, StageStats, Stats,
    encode_jpeg, resize,
};
use shards::{Encoded, Position, Sample};

use common::{Table, measure, once};

mod common;
mod photos;

const PHOTOS: u64 = 40;
const SAMPLES: u64 = 1_600;
const ROUNDS: u64 = 15;

fn main() {
    let photos = photos::photos(PHOTOS);
    let mut table = Table::new("loader: JPEGs of 500×375 pixels, two views by the recipe `in128`");
    let bound = bound(&photos);
    table.row("the bound: bare libjpeg-turbo decode, one thread", 1e6 / bound, "images/s");
    table.row("", bound, "µs CPU/image");
    for (decode, workers) in
        [(DecodeMode::Exact, 1), (DecodeMode::Exact, 2), (DecodeMode::Fast, 1), (DecodeMode::Fast, 2)]
    {
        let (wall_s, process_s, stats) = load(&photos, decode, workers);
        let samples = SAMPLES as f64;
        table.row(&format!("{decode}, {workers} workers: image pairs"), samples / wall_s, "pairs/s");
        table.row("    whole process", process_s / samples * 1e6, "µs CPU/pair");
        table.row("    cost against the bound", process_s / samples * 1e6 / bound, "×");
        for (name, stage) in [
            ("read", stats.read),
            ("decode", stats.decode),
            ("augment", stats.augment),
            ("batch", stats.batch),
        ] {
            stage_rows(&mut table, name, stage);
        }
    }
    let ratios = pairs(&mut table, &photos);
    let small: Vec<Vec<u8>> = photos.iter().map(|photo| shrink(photo)).collect();
    let bytes = |photos: &[Vec<u8>]| photos.iter().map(Vec::len).sum::<usize>() as f64;
    let mut table = Table::new("the same packed by `pack --resize 256 --quality 90`: 341×256 pixels");
    table.row("bytes against those of the originals", bytes(&small) / bytes(&photos), "×");
    let small = pairs(&mut table, &small);
    for (mode, (small, large)) in [DecodeMode::Exact, DecodeMode::Fast].iter().zip(small.iter().zip(ratios)) {
        table.row(&format!("{mode}: cost of a pair against that of the originals"), small / large, "×");
    }
}

/// A photo with a short side of 256 pixels, as `pack --resize` makes it.
fn shrink(photo: &[u8]) -> Vec<u8> {
    let image = pipeline::decode(photo, u64::MAX).expect("a photo decodes");
    encode_jpeg(&resize(&image, 341, 256), 90).expect("the size is a JPEG's")
}

/// The whole pair on one thread against the bound, taking turns: the ratio of both minima. Gives the seconds of a pair,
/// exact and fast.
fn pairs(table: &mut Table, photos: &[Vec<u8>]) -> [f64; 2] {
    let recipe = Preset::In128.recipe();
    let mut views = vec![0; recipe.bytes()];
    let mut slab = vec![0u8; recipe.bytes()];
    let mut renderers = [DecodeMode::Exact, DecodeMode::Fast]
        .map(|mode| (mode, Renderer::new(recipe.clone(), mode, u64::MAX).expect("libjpeg-turbo starts")));
    let mut decoder = Decoder::new(u64::MAX).expect("libjpeg-turbo starts");
    let mut image = Rgb::default();
    let mut best = [f64::INFINITY; 3];
    for round in 0..ROUNDS {
        let bare = once(|| {
            for photo in photos {
                decoder.decode(photo, &mut image).expect("a photo decodes");
            }
        });
        best[0] = best[0].min(bare.thread_s);
        for (best, (_, renderer)) in best[1..].iter_mut().zip(&mut renderers) {
            let time = once(|| {
                for (photo, index) in photos.iter().zip(round * PHOTOS..) {
                    let occasion = Occasion { seed: 1, epoch: 0, index };
                    renderer.decode(photo, occasion).expect("a photo decodes");
                    renderer.render(&mut views);
                    slab.copy_from_slice(&views);
                }
            });
            *best = best.min(time.thread_s);
        }
    }
    std::hint::black_box(slab);
    let us = |seconds: f64| seconds / PHOTOS as f64 * 1e6;
    table.row("in turns, least of all rounds: bound", us(best[0]), "µs CPU/image");
    for (seconds, (mode, _)) in best[1..].iter().zip(&renderers) {
        table.row(&format!("    {mode}: whole pair, one thread"), us(*seconds), "µs CPU/pair");
        table.row(&format!("    {mode}: cost against the bound"), seconds / best[0], "×");
    }
    [best[1], best[2]]
}

/// CPU µs that libjpeg-turbo alone takes for an image.
fn bound(photos: &[Vec<u8>]) -> f64 {
    let mut decoder = Decoder::new(u64::MAX).expect("libjpeg-turbo starts");
    let mut image = Rgb::default();
    let mut decode = |photo: &Vec<u8>| decoder.decode(photo, &mut image).expect("a photo decodes");
    measure(7, || photos.iter().for_each(&mut decode)).thread_s / photos.len() as f64 * 1e6
}

fn load(photos: &[Vec<u8>], decode: DecodeMode, workers: usize) -> (f64, f64, Stats) {
    let photos: Vec<Encoded> = photos.iter().cloned().map(Encoded::from).collect();
    let samples = (0..SAMPLES).map(move |index| Ok(sample(&photos, index)));
    let recipe = Preset::In128.recipe();
    let config = LoaderConfig { workers, decode, batch_size: 64, ..LoaderConfig::default() };
    let slabs = vec![vec![0; config.shape(&recipe).bytes()]; config.slabs()];
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
