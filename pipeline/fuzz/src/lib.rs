//! Functions that the fuzz targets share with the tests of the decoder, and the parsing of their input.
//!
//! Sanitizers need a nightly compiler, or a stable one that pretends to be one:
//!
//! ```sh
//! RUSTC_BOOTSTRAP=1 cargo fuzz run jpeg_structured --no-trace-compares -- -max_len=512
//! RUSTC_BOOTSTRAP=1 cargo fuzz run jpeg_differential fuzz/corpus/jpeg_differential fuzz/seeds/jpeg_differential
//! RUSTC_BOOTSTRAP=1 cargo fuzz run decode fuzz/corpus/decode fuzz/seeds/decode tests/data/formats
//! ```

use std::cell::RefCell;

use pipeline::{Cpu, DecodeMode, SampleSeed, Op, Recipe, Renderer, jpeg::Region};

#[path = "../../tests/jpeg/forge.rs"]
mod forge;
#[path = "../../tests/jpeg/judge.rs"]
mod judge;
mod structured;
mod whole;

pub use structured::{structured, with_restarts};
pub use whole::decode;

/// The most pixels of an image: larger ones would only take time.
const MAX_PIXELS: u32 = 1 << 14;

/// Checks `bytes` as a JPEG, unchanged.
pub fn differential(bytes: &[u8]) {
    judge(bytes, bytes.last_chunk().copied().unwrap_or_default());
}

/// Renders `bytes` in both modes with every instruction set.
pub fn render(bytes: &[u8]) {
    thread_local! {
        static RENDERERS: RefCell<Vec<[Renderer; 2]>> = RefCell::new(Cpu::available().into_iter().map(renderers).collect());
    }
    let index = bytes.last_chunk().map_or(0, |seed| u64::from_le_bytes(*seed));
    let seed = SampleSeed { seed: 1, epoch: 0, index };
    RENDERERS.with_borrow_mut(|renderers| {
        let mut views = renderers.iter_mut().map(|modes| {
            modes.each_mut().map(|renderer| {
                let mut views = vec![0; recipe().bytes()];
                renderer.decode(bytes, seed).ok().map(|()| {
                    renderer.render(&mut views);
                    views
                })
            })
        });
        let first = views.next().expect("the portable version is always there");
        assert!(views.all(|others| others == first), "instruction sets differ");
    });
}

fn renderers(cpu: Cpu) -> [Renderer; 2] {
    [DecodeMode::Exact, DecodeMode::Fast]
        .map(|mode| Renderer::on(cpu, recipe(), mode, MAX_PIXELS.into()))
}

/// Makes a small recipe of one crop that may be the whole image and one that is a small part.
fn recipe() -> Recipe {
    let crop = |scale| vec![Op::ResizedCrop { scale, ratio: (0.5, 2.0) }];
    Recipe { shared: vec![Op::Flip { p: 0.5 }], views: vec![crop((0.3, 1.0)), crop((0.01, 0.1))], side: 24 }
}

/// Checks a file, and a region of it given by four bytes. Returns whether the file is accepted.
fn judge(bytes: &[u8], region: [u8; 4]) -> bool {
    judge::judge(bytes, MAX_PIXELS, |width, height| {
        let [left, top, columns, rows] = region.map(u32::from);
        let (left, top) = (left * width / 256, top * height / 256);
        let (columns, rows) = (columns * (width - left) / 256, rows * (height - top) / 256);
        Region { left, top, width: columns.max(1), height: rows.max(1) }
    })
}
