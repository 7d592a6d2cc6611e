//! Crops of real photographs compared with Pillow 12 (`data/photos.py`), and the fast mode with the exact
//! one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the test prints how close the fast mode comes")]

use std::{collections::BTreeMap, fs, path::Path};

use pipeline::{
    Augmenter, Crop, DecodeMode, Edit, Filter, Op, Recipe, Renderer, Rgb, SampleSeed, decode, edit,
};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// Reads the photos, by name.
fn photos() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let jpegs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    jpegs
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// Computes a digest by FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3))
}

/// Makes a recipe with a flip for both views, and a crop for each.
fn recipe() -> Recipe {
    let crop = Op::ResizedCrop { scale: (0.3, 1.0), ratio: (0.7, 1.4), filter: Filter::Bicubic };
    Recipe::new(vec![Op::Flip { p: 0.5 }], vec![vec![crop]; 2], 128)
}

fn render(renderer: &mut Renderer, photo: &[u8], index: u64) -> Vec<u8> {
    let mut views = vec![0; recipe().bytes()];
    renderer.decode(photo, SampleSeed { seed: 11, epoch: 0, index }).unwrap();
    renderer.render(&mut views);
    views
}

#[test]
fn crops_of_photos_are_those_of_pillow_to_the_bit() {
    let images: BTreeMap<String, Rgb> =
        photos().into_iter().map(|(name, bytes)| (name, decode(&bytes, u64::MAX).unwrap())).collect();
    let mut count = 0;
    for line in include_str!("data/photos/crops.tsv").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [left, top, width, height] = [1, 2, 3, 4].map(|at| fields[at].parse().unwrap());
        let resized = Edit::ResizedCrop {
            crop: Crop { top, left, height, width },
            width: 128,
            height: 128,
            filter: Filter::Bicubic,
        };
        let view = edit(&images[fields[0]], &[resized]);
        assert_eq!(format!("{:016x}", fnv(&view.pixels)), fields[5], "{line}");
        count += 1;
    }
    assert!(count >= 200, "{count} crops");
}

#[test]
fn views_of_photos_only_need_their_region() {
    let mut renderer = Renderer::new(recipe(), DecodeMode::Exact, u64::MAX);
    let mut augmenter = Augmenter::new(recipe());
    let mut expected = vec![0; recipe().bytes()];
    for (name, photo) in photos() {
        let image = decode(&photo, u64::MAX).unwrap();
        for index in 0..20 {
            augmenter.render(&image, SampleSeed { seed: 11, epoch: 0, index }, &mut expected).unwrap();
            assert!(render(&mut renderer, &photo, index) == expected, "{name}, {index}");
        }
    }
}

/// The medians and least values of 96 views each must not be worse, in dB.
const FAST: [(Subsamp, f64, f64); 5] = [
    (Subsamp::Gray, 75.0, 71.0),
    (Subsamp::None, 50.0, 48.5),
    (Subsamp::Sub2x1, 49.5, 47.0),
    (Subsamp::Sub1x2, 49.5, 47.0),
    (Subsamp::Sub2x2, 49.5, 46.0),
];

#[test]
fn the_fast_mode_stays_close_to_the_exact_one() {
    let modes = [DecodeMode::Exact, DecodeMode::Fast];
    let mut renderers = modes.map(|mode| Renderer::new(recipe(), mode, u64::MAX));
    let images: Vec<Rgb> = photos().values().map(|photo| decode(photo, u64::MAX).unwrap()).collect();
    for (sampling, least_median, least_of_all) in FAST {
        let mut psnrs = Vec::new();
        for photo in images.iter().map(|image| encoded(image, sampling)) {
            for index in 0..8 {
                let [exact, fast] = renderers.each_mut().map(|renderer| render(renderer, &photo, index));
                assert!(exact != fast, "the fast mode is another one");
                let views = exact.chunks_exact(recipe().groups[0].view_bytes());
                psnrs.extend(
                    views.zip(fast.chunks_exact(recipe().groups[0].view_bytes())).map(|(a, b)| psnr(a, b)),
                );
            }
        }
        psnrs.sort_by(f64::total_cmp);
        let (least, median) = (psnrs[0], psnrs[psnrs.len() / 2]);
        println!("{sampling:?}, {} views: median {median:.1} dB, least {least:.1} dB", psnrs.len());
        assert!(median >= least_median && least >= least_of_all, "{sampling:?}: {median:.1}, {least:.1}");
    }
}

fn encoded(image: &Rgb, sampling: Subsamp) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(92).unwrap();
    compressor.set_subsamp(sampling).unwrap();
    let (width, height, pitch) = (image.width as usize, image.height as usize, image.stride());
    let pixels = &image.pixels[..];
    compressor.compress_to_vec(Image { pixels, width, pitch, height, format: PixelFormat::RGB }).unwrap()
}

/// Computes the peak signal-to-noise ratio in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / (squares as f64).max(1.0)).log10()
}
