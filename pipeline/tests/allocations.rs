//! Rendering allocates nothing once it has seen images as large as those to come.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unsafe_code, reason = "a global allocator that counts")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use common::{every_operation, picture};
use pipeline::{DecodeMode, Preset, Recipe, Renderer, Rgb, SampleSeed};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls are passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn jpeg(image: &Rgb, phase: u32) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(80 + 4 * phase as i32).unwrap();
    compressor.set_optimize(true).unwrap();
    compressor.set_subsamp(if phase == 0 { Subsamp::None } else { Subsamp::Sub2x2 }).unwrap();
    let (width, height, pitch) = (image.width as usize, image.height as usize, image.stride());
    let pixels = &image.pixels[..];
    compressor.compress_to_vec(Image { pixels, width, pitch, height, format: PixelFormat::RGB }).unwrap()
}

/// This must be the only test of its binary: allocations of another one would count as well.
#[test]
fn a_renderer_allocates_nothing_for_further_images() {
    // The tables differ from photo to photo, as with encoders that optimize.
    let photos: Vec<Vec<u8>> = (0..4).map(|phase| jpeg(&picture(300, 200, phase), phase)).collect();
    for recipe in [Preset::In128.recipe(), every_operation(96)] {
        for mode in [DecodeMode::Exact, DecodeMode::Fast] {
            check(&recipe, mode, &photos);
        }
    }
}

fn check(recipe: &Recipe, mode: DecodeMode, photos: &[Vec<u8>]) {
    let mut views = vec![0; recipe.bytes()];
    let mut renderer = Renderer::new(recipe.clone(), mode, u64::MAX);
    let mut render = |from: u64, count: u64| {
        let before = ALLOCATIONS.load(Relaxed);
        for index in from..from + count {
            let photo = &photos[index as usize % photos.len()];
            renderer.decode(photo, SampleSeed { seed: 1, epoch: 0, index }).unwrap();
            renderer.render(&mut views);
        }
        ALLOCATIONS.load(Relaxed) - before
    };
    assert!(render(0, 400) > 0, "allocations are not counted");
    let further = render(400, 100);
    // Some for a larger crop than any before.
    assert!(further <= 2, "{mode}, side {}: {further} allocations for 100 images", recipe.side());
}
