//! Bytes as an image whose views are rendered.

use std::cell::RefCell;

use pipeline::{Cpu, DecodeMode, Filter, Op, Recipe, Renderer, SampleSeed};

use crate::whole::MAX_PIXELS;

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
    let crop = |scale| vec![Op::ResizedCrop { scale, ratio: (0.5, 2.0), filter: Filter::Bicubic }];
    Recipe::new(vec![Op::Flip { p: 0.5 }], vec![crop((0.3, 1.0)), crop((0.01, 0.1))], 24)
}
