//! `show --run` and `show --config`.

use std::{fs, path::Path};

use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet};

use super::support::add_shard;
use crate::support::{Place, program, run, succeed};

/// Returns the views of a sample in the batches of a loader.
fn loaded(recipe: &pipeline::Recipe, pattern: &str, index: u64, epoch: u64, workers: usize) -> Vec<Vec<u8>> {
    let set =
        ShardSet::open(LocalSource::new(&[pattern.to_owned()]).unwrap(), &IndexConfig::default()).unwrap();
    let config =
        pipeline::LoaderConfig { seed: 7, workers, batch_size: 8, ..pipeline::LoaderConfig::default() };
    let bytes = config.bytes(recipe);
    let samples = set.samples(
        Order { seed: 7, ..Order::default() },
        Division::default(),
        Position { epoch, offset: 0 },
    );
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
    let recipe = pipeline::Preset::C10.recipe();
    for workers in [1, 5] {
        for (number, view) in loaded(&recipe, &pattern, 31, 2, workers).iter().enumerate() {
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

/// Two views as those of MoCo v2, in a file of settings.
const OWN: &str = "
[[recipe.views]]
count = 2
operations = [
    { op = 'resized_crop', scale = [0.2, 1], ratio = [0.75, 1.33], filter = 'bilinear' },
    { op = 'color_jitter', p = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 },
    { op = 'gaussian_blur', p = 0.5, sigma = [0.1, 2] },
    { op = 'flip', p = 0.5 },
]
";

#[test]
fn a_run_with_a_recipe_of_its_own_saw_the_views_that_show_draws_and_refuses_another_recipe() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let (file, other) = (place.path("own.toml"), place.path("other.toml"));
    fs::write(&file, OWN).unwrap();
    fs::write(&other, OWN.replace("[0.1, 2]", "[0.1, 3]")).unwrap();
    let settings = |file: &Path| {
        ["--seed", "7", "--config"]
            .map(str::to_owned)
            .into_iter()
            .chain([file.display().to_string()])
            .collect::<Vec<_>>()
    };
    let train = |file: &Path, steps: &str| {
        let mut given = settings(file);
        given.extend(["--steps".to_owned(), steps.to_owned()]);
        let given: Vec<_> = given.iter().map(String::as_str).collect();
        place.train(&pattern, "run", &given)
    };
    succeed(&mut train(&file, "3"));
    let out = place.path("views.png");
    let mut show = program();
    show.args(["show", "--sample", "00031", "--epoch", "0", "--run"])
        .arg(place.path("run"))
        .arg("-o")
        .arg(&out);
    succeed(show.env("AMDIM_STREAM_CACHE", place.path("cache")));
    let strip = image::open(&out).unwrap().to_rgb8();
    let saved = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let recipe = amdim_stream::config::Config::resolve(&saved.parse().unwrap()).unwrap().recipe();
    for (number, view) in loaded(&recipe, &pattern, 31, 0, 2).iter().enumerate() {
        let drawn = image::imageops::crop_imm(&strip, 40 + 4, number as u32 * (32 + 4), 32, 32).to_image();
        assert!(drawn.into_raw() == *view, "view {number}");
    }
    let said = run(&mut train(&other, "3"));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("other settings: another `recipe`"), "{}", said.stderr);
}

#[test]
fn show_draws_a_recipe_with_views_of_two_sides() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 5);
    let (file, out) = (place.path("own.toml"), place.path("views.png"));
    let small = "[[recipe.views]]\ncount = 8\nside = 12\noperations = [{ op = 'random_crop' }]\n";
    fs::write(&file, format!("preset = 'c10'\n{OWN}{small}")).unwrap();
    let mut show = program();
    show.args(["show", "--sample", "00003", "--shards", &pattern, "--config"]).arg(&file).arg("-o").arg(&out);
    let said = succeed(show.env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert!(said.stderr.contains("its 10 views"), "{}", said.stderr);
    let strip = image::open(&out).unwrap();
    // The image of 40 pixels, two views of 32 below each other, and eight of 12.
    assert_eq!((strip.width(), strip.height()), (40 + 4 + 32 + 4 + 12, 8 * 16 - 4));
}
