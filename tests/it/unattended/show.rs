//! `show --run`.

use shards::{IndexConfig, LocalSource, Order, Position, ShardSet, Share};

use super::support::add_shard;
use crate::support::{Place, program, run, succeed};

/// Returns the views of a sample in the batches of a loader.
fn loaded(pattern: &str, index: u64, epoch: u64, workers: usize) -> Vec<Vec<u8>> {
    let set =
        ShardSet::open(LocalSource::new(&[pattern.to_owned()]).unwrap(), &IndexConfig::default()).unwrap();
    let recipe = pipeline::Preset::C10.recipe();
    let config =
        pipeline::LoaderConfig { seed: 7, workers, batch_size: 8, ..pipeline::LoaderConfig::default() };
    let bytes = config.bytes(&recipe);
    let samples =
        set.samples(Order { seed: 7, ..Order::default() }, Share::default(), Position { epoch, offset: 0 });
    let slabs = (0..config.slabs()).map(|_| vec![0; bytes].into_boxed_slice()).collect();
    let loader = pipeline::Loader::spawn(samples, recipe.clone(), slabs, &config).unwrap();
    for batch in loader {
        let batch = batch.unwrap();
        if let Some(place) = batch.indices.iter().position(|&other| other == index as i64) {
            let view = |number| {
                batch.view(number)[place * recipe.groups[0].view_bytes()..][..recipe.groups[0].view_bytes()]
                    .to_vec()
            };
            return (0..recipe.len()).map(view).collect();
        }
    }
    unreachable!("the batches have no end")
}

#[test]
fn show_draws_the_views_of_a_run_with_any_number_of_threads() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "9", "--seed", "7"]));
    let out = place.path("views.png");
    let mut show = program();
    show.args(["show", "--force", "--sample", "00031", "--epoch", "2", "--run"])
        .arg(place.path("run"))
        .arg("-o")
        .arg(&out);
    succeed(show.env("AMDIM_STREAM_CACHE", place.path("cache")));
    let strip = image::open(&out).unwrap().to_rgb8();
    for workers in [1, 5] {
        for (number, view) in loaded(&pattern, 31, 2, workers).iter().enumerate() {
            let (left, top) = (40 + 4, number as u32 * (32 + 4));
            let drawn = image::imageops::crop_imm(&strip, left, top, 32, 32).to_image();
            assert!(drawn.into_raw() == *view, "view {number} with {workers} workers");
        }
    }
    let mut later = program();
    later.args(["show", "--sample", "00031", "--epoch", "99", "-o"]).arg(place.path("later.png"));
    let said = run(later.arg("--run").arg(place.path("run")).env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("has not reached epoch 99: it has begun 3"), "{}", said.stderr);
    // The views of an altered shard are not those of the run.
    add_shard(&place, "train-001.tar");
    let said = run(show.env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("1 altered") && said.stderr.contains("hint: "), "{}", said.stderr);
}
