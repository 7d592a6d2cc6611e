//! Recipes of other methods at 224 pixels.

#![allow(dead_code, reason = "not every bench uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between benches")]

use pipeline::{Filter, Op, Recipe};

/// Returns MoCo v2's recipe (Chen et al. 2020), with or without its blur.
pub(crate) fn moco_v2(with_blur: bool) -> Recipe {
    let mut view = vec![
        Op::ResizedCrop { scale: (0.2, 1.0), ratio: (0.75, 4.0 / 3.0), filter: Filter::Bilinear },
        Op::ColorJitter { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
        Op::Grayscale { p: 0.2 },
        Op::Flip { p: 0.5 },
    ];
    if with_blur {
        view.insert(3, Op::GaussianBlur { p: 0.5, sigma: (0.1, 2.0) });
    }
    Recipe::new(vec![], vec![view; 2], 224)
}

/// Returns SimCLR's recipe (Chen et al. 2020).
pub(crate) fn simclr() -> Recipe {
    let view = vec![
        Op::ResizedCrop { scale: (0.08, 1.0), ratio: (0.75, 4.0 / 3.0), filter: Filter::Bicubic },
        Op::Flip { p: 0.5 },
        Op::ColorJitter { p: 0.8, brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.2 },
        Op::Grayscale { p: 0.2 },
        Op::GaussianBlur { p: 0.5, sigma: (0.1, 2.0) },
    ];
    Recipe::new(vec![], vec![view; 2], 224)
}
