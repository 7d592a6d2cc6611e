//! Views rendered from encoded images, compared with the long way: decode the whole image, then crop.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{every_operation, picture};
use pipeline::{
    Augmenter, Cpu, Crop, DecodeMode, Edit, Filter, Op, Plan, Preset, Recipe, Renderer, Rgb, SampleSeed,
    decode, edit,
};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const SAMPLINGS: [Subsamp; 5] =
    [Subsamp::Gray, Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub2x2];
/// Large views, with long lines and with weights for many pixels.
const LARGE: [(u32, u32); 3] = [(4001, 61), (61, 4001), (1500, 1100)];
const SIZES: [(u32, u32); 10] =
    [(1, 1), (2, 3), (5, 4), (6, 9), (16, 16), (33, 17), (64, 100), (97, 61), (150, 200), (301, 203)];

/// Makes a JPEG of a picture with fine detail and strong colours.
fn jpeg(width: u32, height: u32, subsampling: Subsamp) -> Vec<u8> {
    let mut image = picture(width, height, 3);
    for (at, value) in image.pixels.iter_mut().enumerate() {
        *value = value.wrapping_add((at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] & 63);
    }
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(88).unwrap();
    compressor.set_subsamp(subsampling).unwrap();
    let (width, height, pitch) = (width as usize, height as usize, image.stride());
    let pixels = &image.pixels[..];
    compressor.compress_to_vec(Image { pixels, width, pitch, height, format: PixelFormat::RGB }).unwrap()
}

fn direct(renderer: &mut Renderer, recipe: &Recipe, bytes: &[u8], seed: SampleSeed) -> Vec<u8> {
    let mut views = vec![0; recipe.bytes()];
    renderer.decode(bytes, seed).unwrap();
    renderer.render(&mut views);
    views
}

fn long_way(augmenter: &mut Augmenter, recipe: &Recipe, image: &Rgb, seed: SampleSeed) -> Vec<u8> {
    let mut views = vec![0; recipe.bytes()];
    augmenter.render(image, seed, &mut views).unwrap();
    views
}

/// Makes a recipe whose views only need a region of the image.
fn regions() -> Recipe {
    let crop = |filter| Op::ResizedCrop { scale: (0.05, 0.3), ratio: (0.7, 1.4), filter };
    let contrastive = every_operation(24).groups[0].views.remove(0);
    let views = vec![vec![crop(Filter::Bilinear), Op::Flip { p: 0.5 }], vec![Op::RandomCrop], contrastive];
    Recipe::new(vec![Op::Flip { p: 0.5 }], views, 24)
}

#[test]
fn views_of_a_region_are_those_of_the_whole_image() {
    let presets = Preset::ALL.iter().flat_map(|preset| [preset.recipe(), preset.evaluation()]);
    for recipe in presets.chain([regions(), every_operation(24)]) {
        let mut renderer = Renderer::new(recipe.clone(), DecodeMode::Exact, u64::MAX);
        let mut augmenter = Augmenter::new(recipe.clone());
        for (sampling, (width, height)) in SAMPLINGS.iter().flat_map(|s| SIZES.map(|size| (*s, size))) {
            let bytes = jpeg(width, height, sampling);
            let image = decode(&bytes, u64::MAX).unwrap();
            for index in 0..6 {
                let seed = SampleSeed { seed: 5, epoch: 0, index };
                let expected = long_way(&mut augmenter, &recipe, &image, seed);
                let views = direct(&mut renderer, &recipe, &bytes, seed);
                assert!(views == expected, "{sampling:?} {width}×{height}, {index}");
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_views() {
    let recipes = [Preset::In128.recipe(), regions(), every_operation(40)];
    let modes = [DecodeMode::Exact, DecodeMode::Fast];
    for (recipe, mode) in recipes.iter().flat_map(|recipe| modes.map(|mode| (recipe, mode))) {
        let mut renderers = Cpu::available()
            .into_iter()
            .map(|cpu| (cpu, Renderer::on(cpu, recipe.clone(), mode, u64::MAX)))
            .collect::<Vec<_>>();
        let large = [Subsamp::Gray, Subsamp::Sub2x2].into_iter().flat_map(|s| LARGE.map(|size| (s, size)));
        let small = SAMPLINGS.iter().flat_map(|s| SIZES.map(|size| (*s, size)));
        for (sampling, (width, height)) in small.chain(large) {
            let bytes = jpeg(width, height, sampling);
            for index in 0..3 {
                let seed = SampleSeed { seed: 6, epoch: 0, index };
                let mut views = renderers
                    .iter_mut()
                    .map(|(cpu, renderer)| (*cpu, direct(renderer, recipe, &bytes, seed)));
                let (_, portable) = views.next().unwrap();
                for (cpu, views) in views {
                    assert!(views == portable, "{cpu}, {mode}: {sampling:?} {width}×{height}, {index}");
                }
            }
        }
    }
}

#[test]
fn the_best_instruction_set_is_the_default() {
    assert_eq!(Some(&Cpu::default()), Cpu::available().last());
}

#[test]
fn edits_applied_together_equal_edits_applied_one_after_the_other() {
    let colours = [
        Edit::Contrast(1.3),
        Edit::Brightness(0.8),
        Edit::Hue(0.07),
        Edit::Flip,
        Edit::Saturation(1.4),
        Edit::Contrast(0.7),
        Edit::Contrast(1.2),
        Edit::Translate { dx: 3, dy: -2 },
        Edit::Brightness(1.3),
        Edit::Contrast(0.9),
        Edit::Blur(1.2),
        Edit::Solarize(90),
        Edit::Flip,
        Edit::Blur(0.4),
        Edit::Grayscale,
    ];
    // Some blocks and a part of one.
    let image = picture(97, 83, 2);
    let singly = colours.iter().fold(image.clone(), |image, colour| edit(&image, &[*colour]));
    assert_eq!(edit(&image, &colours), singly);
}

#[test]
fn flips_after_a_resized_crop_equal_flips_one_after_the_other() {
    let image = picture(97, 83, 2);
    let crop = Crop { top: 3, left: 20, height: 60, width: 71 };
    for filter in [Filter::Bicubic, Filter::Bilinear] {
        let edits = [
            Edit::ResizedCrop { crop, width: 31, height: 33, filter },
            Edit::Flip,
            Edit::Contrast(1.4),
            Edit::Blur(1.7),
            Edit::Flip,
            Edit::Hue(0.2),
            Edit::Solarize(100),
            Edit::Flip,
            Edit::Translate { dx: 4, dy: 1 },
            Edit::Flip,
        ];
        for count in 1..=edits.len() {
            let edits = &edits[..count];
            let singly = edits.iter().fold(image.clone(), |image, colour| edit(&image, &[*colour]));
            assert_eq!(edit(&image, edits), singly, "{edits:?}");
        }
    }
}

#[test]
fn a_random_crop_copies_pixels() {
    let image = picture(97, 83, 2);
    let recipe = Recipe::new(vec![], vec![vec![Op::RandomCrop]], 40);
    for index in 0..20 {
        let seed = SampleSeed { seed: 3, epoch: 0, index };
        let mut plan = Plan::default();
        plan.draw(&recipe, seed, image.width, image.height).unwrap();
        let [Edit::ResizedCrop { crop, .. }] = plan.views[0][..] else { panic!("{plan:?}") };
        let view = long_way(&mut Augmenter::new(recipe.clone()), &recipe, &image, seed);
        assert_eq!(view, edit(&image, &[Edit::Crop(crop)]).pixels);
    }
}

/// Returns the seeds among the first hundred whose views do not show the lowest quarter of an image.
fn upper(recipe: &Recipe, width: u32, height: u32) -> Vec<SampleSeed> {
    let mut plan = Plan::default();
    let seeds = (0..100).map(|index| SampleSeed { seed: 8, epoch: 0, index });
    let is_upper = |seed: &SampleSeed| {
        plan.draw(recipe, *seed, width, height).unwrap();
        plan.views.iter().all(|edits| {
            matches!(edits[0], Edit::ResizedCrop { crop, .. } if crop.top + crop.height < height * 3 / 4)
        })
    };
    seeds.filter(is_upper).collect()
}

#[test]
fn damage_below_the_views_is_not_reached_but_a_cut_file_is_noticed() {
    let crop = Op::ResizedCrop { scale: (0.05, 0.3), ratio: (0.7, 1.4), filter: Filter::Bicubic };
    let recipe = Recipe::new(vec![], vec![vec![crop]; 2], 48);
    for mode in [DecodeMode::Exact, DecodeMode::Fast] {
        let mut renderer = Renderer::new(recipe.clone(), mode, u64::MAX);
        let whole = jpeg(301, 203, Subsamp::Sub2x2);
        let mut damaged = whole.clone();
        // No code consists of only ones.
        let last = damaged.len() - 40;
        damaged[last..last + 32].copy_from_slice(&[0xFF, 0].repeat(16));
        assert!(decode(&damaged, u64::MAX).is_err(), "it is noticed where all is decoded");
        let seeds = upper(&recipe, 301, 203);
        assert!(seeds.len() >= 3);
        for seed in seeds {
            let expected = direct(&mut renderer, &recipe, &whole, seed);
            assert!(direct(&mut renderer, &recipe, &damaged, seed) == expected, "{mode}, {seed:?}");
            assert!(renderer.decode(&whole[..whole.len() - 2], seed).is_err(), "{mode}: cut");
        }
    }
}
