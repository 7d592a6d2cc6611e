//! Fused pieces beside their plain forms.

use anyhow::{Result, ensure};
use pipeline::Preset;
use serde_json::{Map, Value, json};
use torchkit::{GraphChoice, Piece, Precision};

use super::{
    check::{Check, Found, Options},
    cure::Cure,
    graph::{config, trainer},
};
use crate::{
    feed::Normalizer,
    train::{Difference, PIECES},
    views::made_up,
};

/// Models whose steps the pieces are parts of, as TOML, with the size of a batch. Channels are multiples of 8, which
/// the products of GPUs ask for.
const MODELS: [(&str, i64, &str); 4] = [
    ("amdim", 12, "preset = 'stl10'\nencoder = { ndf = 16, n_rkhs = 128, n_depth = 3 }"),
    ("simclr", 12, "side = 64\nmethod.name = 'simclr'\nencoder = { name = 'resnet50', width = 8 }"),
    (
        "moco",
        12,
        "side = 64\nmethod = { name = 'moco', queue = 256 }\nencoder = { name = 'resnet18', width = 8 }",
    ),
    (
        "instdisc",
        12,
        "side = 64\nmethod = { name = 'instdisc', loss = 'softmax', negatives = 0 }\nencoder = { name = 'resnet18', width = 8 }",
    ),
];

/// Larger ones.
const LARGE: [(&str, i64, &str); 1] =
    [("amdim of 128 pixels", 64, "preset = 'in128'\nencoder = { ndf = 32, n_rkhs = 256, n_depth = 4 }")];

/// Returns a check for each fused piece of a step.
pub(super) fn fused_pieces() -> Vec<Check> {
    let check = |piece: Piece| {
        let name = format!("fused {} beside their plain form", piece.name());
        Check::new(name, Cure::Fused, move |options| beside_plain(piece, options))
    };
    let input = Check::new("fused input beside its plain form", Cure::Fused, input);
    PIECES.into_iter().map(check).chain([input]).collect()
}

/// All bytes of all channels, with the constants of each preset.
fn input(options: &Options) -> Result<Found> {
    for preset in [Preset::C10, Preset::Stl10, Preset::In128, Preset::In224] {
        let normalizer = Normalizer::new(&preset.normalization(), options.device);
        ensure!(normalizer.is_right_in_bf16()?, "{preset:?}: pixels in bf16 are not those in f32 rounded");
    }
    Ok(Found::Figures(json!({"bytes": 256})))
}

fn beside_plain(piece: Piece, options: &Options) -> Result<Found> {
    let mut found = Map::new();
    for precision in [Precision::F32, Precision::Bf16] {
        precision.apply()?;
        for (name, samples, settings) in MODELS.iter().chain(LARGE.iter().filter(|_| options.is_full)) {
            let mut config = config(settings, GraphChoice::Off)?;
            config.train.precision = precision;
            let views = made_up(&config.recipe(), *samples as usize, options.device);
            let mut trainer = trainer(options.device, &config)?;
            let difference = trainer.fused_differences(&[piece], &views)?.remove(0);
            let Difference { loss, gradients, parameter, noise, .. } = &difference;
            ensure!(
                difference.is_rounding(precision),
                "{name} in {precision}: the loss is off by {loss:.1e}, the gradient of `{parameter}` by {gradients:.1e} (by a rounding: {noise:.1e})"
            );
            found.insert(
                format!("{name} in {precision}"),
                json!({"loss_off": loss, "gradients_off": gradients, "by_rounding": noise, "of": parameter}),
            );
        }
    }
    Ok(Found::Figures(Value::Object(found)))
}
