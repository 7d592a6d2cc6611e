//! Recipes for the tests.

use pipeline::{Components, Filter, Group, Op, Recipe};

/// Makes a recipe with every operation, each of which is sometimes applied; and three smaller views.
pub(crate) fn every_operation(side: u32) -> Recipe {
    let p = 0.6;
    let contrastive = vec![
        Op::ResizedCrop { scale: (0.2, 1.0), ratio: (0.75, 1.33), filter: Filter::Bilinear },
        Op::ColorJitter { p, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
        Op::Grayscale { p },
        Op::GaussianBlur { p, sigma: (0.1, 3.0) },
        Op::Solarize { p, threshold: 128 },
        Op::Flip { p },
    ];
    let exemplar = vec![
        Op::SeedPatch { zoom: (1.0, 2.0), translate: 0.2, scale: (0.7, 1.4), rotate: 20.0 },
        Op::PcaContrast { p, factors: (0.5, 2.0), colours: Components::default() },
        Op::HsvContrast { p, powers: (0.25, 4.0), factors: (0.7, 1.4), shift: 0.1, hue: 0.1 },
        Op::Flip { p },
    ];
    let moved = vec![
        Op::ResizeShort { edge: side + 3 },
        Op::RandomCrop,
        Op::Translate { p, max: 4 },
        Op::Affine { p, translate: 0.1, scale: (0.9, 1.1), rotate: 30.0 },
        Op::Flip { p },
        Op::ResizedCrop { scale: (0.2, 1.0), ratio: (0.75, 1.33), filter: Filter::Bicubic },
        Op::CenterCrop,
    ];
    let small = Op::ResizedCrop { scale: (0.05, 0.2), ratio: (0.75, 1.33), filter: Filter::Bicubic };
    let small = Group { side: side / 2, views: vec![vec![small, Op::Flip { p }]; 3] };
    let mut recipe = Recipe::new(vec![], vec![contrastive, exemplar, moved], side);
    recipe.groups.push(small);
    recipe
}
