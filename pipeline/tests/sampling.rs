//! The statistics of random draws. Seeds are fixed; bounds are five standard errors, so a right generator
//! passes with all but one seed in a million.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;

use pipeline::{Components, Crop, Edit, Filter, Op, Plan, Preset, Recipe, SampleSeed};
use serde_json::Value;

const DRAWS: u64 = 20_000;

/// Draws the plans of many samples of the same size.
fn plans(recipe: &Recipe, width: u32, height: u32) -> Vec<Plan> {
    let draw = |index| {
        let mut plan = Plan::default();
        plan.draw(recipe, SampleSeed { seed: 7, epoch: 1, index }, width, height).unwrap();
        plan
    };
    (0..DRAWS).map(draw).collect()
}

fn assert_share(hits: usize, of: usize, p: f64, what: &str) {
    let bound = 5.0 * (p * (1.0 - p) / of as f64).sqrt();
    let share = hits as f64 / of as f64;
    assert!((share - p).abs() <= bound, "{what}: {share}, not {p} ± {bound}");
}

/// Checks the mean and both ends of values that are uniform in [low, high).
fn assert_uniform(values: &[f64], low: f64, high: f64, what: &str) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let bound = 5.0 * (high - low) / (12.0 * values.len() as f64).sqrt();
    assert!((mean - f64::midpoint(low, high)).abs() <= bound, "{what}: mean {mean}");
    for (end, reached) in [
        (low, values.iter().copied().fold(high, f64::min)),
        (high, values.iter().copied().fold(low, f64::max)),
    ] {
        assert!(
            (low..=high).contains(&reached) && (reached - end).abs() < 0.01 * (high - low),
            "{what}: {reached}"
        );
    }
}

#[test]
fn crops_have_the_shapes_and_places_of_the_fixtures() {
    let op = Op::ResizedCrop { scale: (0.3, 1.0), ratio: (0.7, 1.4), filter: Filter::Bicubic };
    let recipe = Recipe::new(vec![], vec![vec![op]], 32);
    for (facts, _) in common::fixtures("amdim_augment") {
        for (size, expected) in facts["sampling"]["crop_stats"].as_object().unwrap() {
            let (width, height) = size.split_once('x').unwrap();
            check_crops(&recipe, width.parse().unwrap(), height.parse().unwrap(), expected);
        }
    }
}

fn check_crops(recipe: &Recipe, width: u32, height: u32, expected: &Value) {
    let crops: Vec<Crop> = plans(recipe, width, height)
        .iter()
        .map(|plan| match plan.views[0][..] {
            [Edit::ResizedCrop { crop, .. }] => crop,
            _ => panic!("{plan:?}"),
        })
        .collect();
    let whole = f64::from(width * height);
    let areas: Vec<f64> = crops.iter().map(|crop| f64::from(crop.width * crop.height) / whole).collect();
    let ratios: Vec<f64> = crops.iter().map(|crop| f64::from(crop.width) / f64::from(crop.height)).collect();
    let n = expected["n"].as_f64().unwrap();
    assert_distribution(areas, &expected["area_frac"], n);
    assert_distribution(ratios, &expected["aspect_w_over_h"], n);
    let rest = |length: u32, taken: u32, at: u32| {
        (length > taken).then(|| f64::from(at) / f64::from(length - taken))
    };
    let tops = crops.iter().filter_map(|crop| rest(height, crop.height, crop.top));
    let lefts = crops.iter().filter_map(|crop| rest(width, crop.width, crop.left));
    for places in [tops.collect::<Vec<f64>>(), lefts.collect()] {
        let mean = places.iter().sum::<f64>() / places.len() as f64;
        // A few free pixels spread wider than a continuous place would: at most ½ each way.
        assert!((mean - 0.5).abs() < 5.0 * 0.5 / (places.len() as f64).sqrt(), "{width}×{height}: {mean}");
    }
}

/// Compares values with a mean and quantiles that were themselves measured on `n` draws.
fn assert_distribution(values: Vec<f64>, expected: &Value, n: f64) {
    let errors = 5.0 * (1.0 / n + 1.0 / values.len() as f64).sqrt();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let bound = errors * expected["std"].as_f64().unwrap();
    assert!((mean - expected["mean"].as_f64().unwrap()).abs() < bound, "mean {mean}: {expected}");
    for (q, value) in expected["quantiles"].as_object().unwrap() {
        let (q, value): (f64, f64) = (q.parse().unwrap(), value.as_f64().unwrap());
        let share = |end: f64| values.iter().filter(|v| **v < end).count() as f64 / values.len() as f64;
        let bound = errors * (q * (1.0 - q)).sqrt();
        let (below, up_to) = (share(value - 1e-9), share(value + 1e-9));
        assert!(below - bound <= q && q <= up_to + bound, "quantile {q}: {below} to {up_to} of values");
    }
}

#[test]
fn the_flip_is_drawn_once_for_both_views() {
    let plans = plans(&Preset::In128.recipe(), 200, 150);
    assert_share(plans.iter().filter(|plan| plan.shared == [Edit::Flip]).count(), plans.len(), 0.5, "flips");
    assert!(plans.iter().all(|plan| !plan.views.concat().contains(&Edit::Flip)));
}

#[test]
fn views_of_a_sample_are_drawn_independently() {
    let plans = plans(&Preset::In128.recipe(), 200, 150);
    let gray = |plan: &&Plan, view: usize| plan.views[view].contains(&Edit::Grayscale);
    let both = plans.iter().filter(|plan| gray(plan, 0) && gray(plan, 1)).count();
    assert_share(both, plans.len(), 0.25 * 0.25, "both gray");
}

#[test]
fn jitter_has_its_probability_order_and_ranges() {
    for (preset, spread) in [(Preset::C10, 0.2), (Preset::In128, 0.1)] {
        let plans = plans(&preset.recipe(), 32, 32);
        let mut orders: HashMap<Vec<char>, usize> = HashMap::new();
        let mut factors: HashMap<char, Vec<f64>> = HashMap::new();
        let mut gray = 0;
        for edits in plans.iter().flat_map(|plan| &plan.views) {
            let jitter: Vec<(char, f64)> = edits.iter().filter_map(factor).collect();
            gray += usize::from(edits.last() == Some(&Edit::Grayscale));
            if !jitter.is_empty() {
                *orders.entry(jitter.iter().map(|(name, _)| *name).collect()).or_default() += 1;
                for (name, factor) in jitter {
                    factors.entry(name).or_default().push(factor);
                }
            }
        }
        let (views, jittered) = (2 * plans.len(), orders.values().sum::<usize>());
        assert_share(gray, views, 0.25, "grayscale");
        assert_share(jittered, views, 0.8, "jitter");
        assert_eq!(orders.len(), 24);
        for (order, hits) in &orders {
            assert_share(*hits, jittered, 1.0 / 24.0, &format!("{order:?}"));
        }
        for (name, values) in &factors {
            let (low, high) = if *name == 'h' { (-spread, spread) } else { (0.6, 1.4) };
            assert_uniform(values, low, high, &name.to_string());
        }
    }
}

fn factor(edit: &Edit) -> Option<(char, f64)> {
    match edit {
        Edit::Brightness(factor) => Some(('b', f64::from(*factor))),
        Edit::Contrast(factor) => Some(('c', f64::from(*factor))),
        Edit::Saturation(factor) => Some(('s', f64::from(*factor))),
        Edit::Hue(turns) => Some(('h', *turns)),
        _ => None,
    }
}

#[test]
fn shifts_are_uniform_within_four_pixels() {
    let plans = plans(&Preset::C10.recipe(), 32, 32);
    let mut shifts: HashMap<(i32, i32), usize> = HashMap::new();
    for edits in plans.iter().flat_map(|plan| &plan.views) {
        if let Some(Edit::Translate { dx, dy }) = edits.first() {
            *shifts.entry((*dx, *dy)).or_default() += 1;
        }
    }
    let shifted = shifts.values().sum();
    assert_share(shifted, 2 * plans.len(), 0.8, "shifts");
    assert_eq!(shifts.len(), 81);
    for ((dx, dy), hits) in shifts {
        assert!(dx.abs() <= 4 && dy.abs() <= 4);
        assert_share(hits, shifted, 1.0 / 81.0, &format!("{dx}, {dy}"));
    }
}

/// Returns the plans of one view's operations for images of 200×150 pixels.
fn plans_of(ops: Vec<Op>) -> Vec<Plan> {
    plans(&Recipe::new(vec![], vec![ops], 64), 200, 150)
}

#[test]
fn blurs_and_solarizations_have_their_probabilities_and_ranges() {
    let crop = Op::ResizedCrop { scale: (0.2, 1.0), ratio: (0.75, 1.33), filter: Filter::Bilinear };
    let blur = Op::GaussianBlur { p: 0.5, sigma: (0.1, 2.0) };
    let plans = plans_of(vec![crop, blur, Op::Solarize { p: 0.2, threshold: 128 }]);
    let edits: Vec<Edit> = plans.iter().flat_map(|plan| plan.views[0].clone()).collect();
    let blurs =
        edits.iter().filter_map(|edit| if let Edit::Blur(sigma) = edit { Some(*sigma) } else { None });
    let blurs: Vec<f64> = blurs.collect();
    assert_share(blurs.len(), plans.len(), 0.5, "blurs");
    assert_uniform(&blurs, 0.1, 2.0, "sigma");
    let solarized = edits.iter().filter(|edit| **edit == Edit::Solarize(128)).count();
    assert_share(solarized, plans.len(), 0.2, "solarizations");
}

#[test]
fn random_crops_are_uniform_over_the_image() {
    let plans = plans_of(vec![Op::RandomCrop]);
    let crops: Vec<Crop> = plans
        .iter()
        .map(|plan| match plan.views[0][..] {
            [Edit::ResizedCrop { crop, width: 64, height: 64, .. }] => crop,
            _ => panic!("{plan:?}"),
        })
        .collect();
    assert!(crops.iter().all(|crop| (crop.width, crop.height) == (64, 64)));
    let places =
        |place: fn(&Crop) -> u32| crops.iter().map(|crop| f64::from(place(crop))).collect::<Vec<_>>();
    assert_uniform(&places(|crop| crop.left), 0.0, 136.0, "left");
    assert_uniform(&places(|crop| crop.top), 0.0, 86.0, "top");
}

#[test]
fn a_seed_stays_the_same_in_all_epochs_and_its_transformations_do_not() {
    let op = Op::SeedPatch { zoom: (1.0, 2.0), translate: 0.2, scale: (0.7, 1.4), rotate: 20.0 };
    let recipe = Recipe::new(vec![], vec![vec![op.clone()], vec![op]], 32);
    let draw = |epoch, index| {
        let mut plan = Plan::default();
        plan.draw(&recipe, SampleSeed { seed: 4, epoch, index }, 96, 96).unwrap();
        plan.views.concat()
    };
    let seeds = |edits: &[Edit]| -> Vec<(u32, f64)> {
        let seed = |edit: &Edit| match *edit {
            Edit::SeedPatch { seed, place, .. } => (seed, place),
            _ => panic!("{edit:?}"),
        };
        edits.iter().map(seed).collect()
    };
    let (first, later, other) = (draw(0, 7), draw(9, 7), draw(0, 8));
    assert_eq!(seeds(&first)[0], seeds(&first)[1], "both views");
    assert_eq!(seeds(&first), seeds(&later));
    assert_ne!(seeds(&first), seeds(&other));
    assert_ne!(first[0], first[1]);
    assert_ne!(first, later);
}

#[test]
fn seeds_and_their_windows_have_their_ranges() {
    let spread = Op::SeedPatch { zoom: (0.5, 1.5), translate: 0.2, scale: (0.7, 1.4), rotate: 20.0 };
    let mut values: [Vec<f64>; 6] = Default::default();
    for plan in plans_of(vec![spread]) {
        let [Edit::SeedPatch { seed, place, window }] = plan.views[0][..] else { panic!("{plan:?}") };
        let seed = f64::from(seed);
        let drawn =
            [seed, place, window.x / seed, window.y / seed, window.scale * 64.0 / seed, window.degrees];
        values.iter_mut().zip(drawn).for_each(|(values, value)| values.push(value));
        assert_eq!((window.width, window.height), (64, 64));
    }
    let ranges = [(32.0, 96.0), (0.0, 1.0), (-0.2, 0.2), (-0.2, 0.2), (0.7, 1.4), (-20.0, 20.0)];
    let names = ["side of seeds", "place", "x", "y", "scale", "degrees"];
    for ((values, (low, high)), name) in values.iter().zip(ranges).zip(names) {
        assert_uniform(values, low, high, name);
    }
}

#[test]
fn contrasts_of_exemplars_have_their_ranges() {
    let pca = Op::PcaContrast { p: 1.0, factors: (0.5, 2.0), colours: Components::default() };
    let hsv = Op::HsvContrast { p: 1.0, powers: (0.25, 4.0), factors: (0.7, 1.4), shift: 0.1, hue: 0.05 };
    let mut values: [Vec<f64>; 10] = Default::default();
    for plan in plans_of(vec![Op::RandomCrop, pca, hsv]) {
        let [_, Edit::PcaContrast { factors, .. }, Edit::HsvContrast { saturation, value, hue }] =
            plan.views[0][..]
        else {
            panic!("{plan:?}")
        };
        let curves = [saturation, value].map(|curve| [curve.power, curve.factor, curve.shift]);
        let drawn = factors.into_iter().chain(curves.into_iter().flatten()).chain([hue]);
        values.iter_mut().zip(drawn).for_each(|(values, value)| values.push(value));
    }
    let curve = [(0.25, 4.0), (0.7, 1.4), (-0.1, 0.1)];
    let ranges = [[(0.5, 2.0); 3], curve, curve].concat().into_iter().chain([(-0.05, 0.05)]);
    for (number, (values, (low, high))) in values.iter().zip(ranges).enumerate() {
        assert_uniform(values, low, high, &format!("number {number}"));
    }
}

#[test]
fn jitter_leaves_out_what_has_no_range() {
    let jitter = Op::ColorJitter { p: 1.0, brightness: 0.0, contrast: 0.4, saturation: 0.0, hue: 0.0 };
    for plan in plans_of(vec![Op::RandomCrop, jitter]) {
        assert!(matches!(plan.views[0][..], [_, Edit::Contrast(_)]), "{plan:?}");
    }
}

#[test]
fn an_image_that_the_recipe_does_not_bring_to_its_size_is_refused() {
    let mut plan = Plan::default();
    let seed = SampleSeed { seed: 0, epoch: 0, index: 0 };
    let untouched = Recipe::new(vec![], vec![vec![]], 32);
    let error = plan.draw(&untouched, seed, 33, 32).unwrap_err().to_string();
    assert_eq!(error, "is 33×32 at the end of the recipe, not 32×32");
    assert!(plan.draw(&Preset::In128.evaluation(), seed, 65_000, 1).is_err());
}

#[test]
fn the_smallest_images_can_be_cropped() {
    for (width, height) in [(1, 1), (1, 50), (2, 1)] {
        for plan in plans(&Preset::In128.recipe(), width, height) {
            let Some(Edit::ResizedCrop { crop, .. }) = plan.views[0].first() else { panic!("{plan:?}") };
            assert!(crop.width >= 1 && crop.left + crop.width <= width, "{crop:?}");
            assert!(crop.height >= 1 && crop.top + crop.height <= height, "{crop:?}");
        }
    }
}
