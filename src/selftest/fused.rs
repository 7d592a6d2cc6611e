//! Fused pieces beside their plain forms.

use std::{cell::OnceCell, rc::Rc};

use anyhow::{Result, anyhow, ensure};
use pipeline::Preset;
use serde_json::{Map, Value, json};
use torchkit::{Choice, Piece, Precision};

use super::{
    check::{Check, Found, Options},
    cure::Cure,
    graph::{config, trainer},
};
use crate::{
    feed::Normalizer,
    train::{Difference, PIECES, fuse_all},
    views::made_up,
};

/// Models whose steps the pieces are parts of, as TOML, with the size of a batch. Channels are multiples of 8, which
/// the products of GPUs ask for.
const MODELS: [(&str, usize, &str); 4] = [
    ("amdim", 8, "preset = 'stl10'\nencoder = { ndf = 16, n_rkhs = 128, n_depth = 3 }"),
    ("simclr", 8, "side = 64\nmethod.name = 'simclr'\nencoder = { name = 'resnet18', width = 8 }"),
    (
        "moco",
        12,
        "side = 64\nmethod = { name = 'moco', queue = 256 }\nencoder = { name = 'resnet18', width = 8 }",
    ),
    (
        "instdisc",
        8,
        "side = 64\nmethod = { name = 'instdisc', loss = 'softmax', negatives = 0 }\nencoder = { name = 'resnet18', width = 8 }",
    ),
];

/// Larger ones.
const LARGE: [(&str, usize, &str); 2] = [
    ("amdim of 128 pixels", 24, "preset = 'in128'\nencoder = { ndf = 32, n_rkhs = 256, n_depth = 4 }"),
    ("simclr, resnet50", 12, "side = 64\nmethod.name = 'simclr'\nencoder = { name = 'resnet50', width = 8 }"),
];

/// What the comparisons of all models found, made by the first check that asks for it.
type Compared = Rc<OnceCell<Result<Vec<(String, Precision, Vec<Difference>)>, String>>>;

/// Returns a check for each fused piece.
pub(super) fn fused_pieces() -> Vec<Check> {
    let compared = Compared::default();
    let check = |(number, piece): (usize, Piece)| {
        let (name, compared) = (format!("fused {} beside their plain form", piece.name()), compared.clone());
        Check::new(name, Cure::Fused, move |options| beside_plain(number, &compared, options))
    };
    let checks: Vec<_> = PIECES.into_iter().enumerate().map(check).collect();
    let input = Check::new("fused input beside its plain form", Cure::Fused, input);
    checks.into_iter().chain([input]).collect()
}

/// All bytes of all channels, with the constants of each preset.
fn input(options: &Options) -> Result<Found> {
    for preset in [Preset::C10, Preset::Stl10, Preset::In128, Preset::In224] {
        let normalizer = Normalizer::new(&preset.normalization(), options.device);
        ensure!(normalizer.is_right_in_bf16()?, "{preset:?}: pixels in bf16 are not those in f32 rounded");
    }
    Ok(Found::Figures(json!({"bytes": 256})))
}

/// Judges the piece of this number.
fn beside_plain(number: usize, compared: &Compared, options: &Options) -> Result<Found> {
    let compared = compared.get_or_init(|| compare(options).map_err(|error| format!("{error:#}")));
    let mut found = Map::new();
    for (name, precision, differences) in compared.as_ref().map_err(|error| anyhow!("{error}"))? {
        let difference = &differences[number];
        ensure!(difference.is_rounding(*precision), "{name} in {precision}: {}", words(difference));
        found.insert(format!("{name} in {precision}"), figures(difference));
    }
    Ok(Found::Figures(Value::Object(found)))
}

/// Compares all pieces in each model and precision.
fn compare(options: &Options) -> Result<Vec<(String, Precision, Vec<Difference>)>> {
    let mut compared = Vec::new();
    for precision in [Precision::F32, Precision::Bf16] {
        precision.apply()?;
        for (name, samples, settings) in MODELS.iter().chain(LARGE.iter().filter(|_| options.is_full)) {
            let mut config = config(settings, Choice::Off)?;
            config.train.precision = precision;
            let views = made_up(&config.recipe(), *samples, options.device);
            let mut trainer = trainer(options.device, &config)?;
            let differences = trainer.fused_differences(&PIECES, &views)?;
            compared.push(((*name).to_owned(), precision, differences));
        }
    }
    fuse_all(&PIECES, true);
    Ok(compared)
}

/// Describes a difference of a piece that is wrong.
fn words(difference: &Difference) -> String {
    let Difference { loss, gradients, parameter, noise, block, block_tensor, block_noise, .. } = difference;
    format!(
        "the loss is off by {loss:.1e}, the gradient of `{parameter}` by {gradients:.1e} (by two roundings: {noise:.1e}), {block_tensor} of a block by itself by {block:.1e} (by two roundings: {block_noise:.1e})"
    )
}

fn figures(difference: &Difference) -> Value {
    let Difference { loss, gradients, noise, block, block_noise, .. } = difference;
    json!({
        "loss_off": loss, "gradients_off": gradients, "by_roundings": noise, "blocks_off": block,
        "blocks_by_roundings": block_noise,
    })
}
