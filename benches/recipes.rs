//! Recipes of other methods at 224 pixels.

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
