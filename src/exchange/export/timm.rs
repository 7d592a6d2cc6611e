//! The description of a ResNet that timm, and Hugging Face's transformers through timm, read beside the tensors.

use serde_json::{Value, json};

use super::description::Description;
use crate::encoder::resnet;

/// Returns the `config.json` of a folder whose `model.safetensors` has the names of torchvision; `None` if
/// timm has no such encoder: it has ResNets of the published width with the stem for `ImageNet` only.
pub fn timm_config(description: &Description) -> Option<Value> {
    let &resnet::Config { width, stem, stem_width, .. } = description.encoder.resnet()?;
    let (encoder, side) = (description.encoder.chosen(), description.side);
    if width != 64 || stem_width.is_some_and(|stem| stem != width) || stem.keeps_size(side.into()) {
        return None;
    }
    let shares = |numbers: [f64; 3]| numbers.map(|number| number / 255.0);
    let pooled = side.div_ceil(32);
    Some(json!({
        "architecture": encoder.name(),
        "num_classes": 0,
        "num_features": encoder.width(),
        "global_pool": "avg",
        "pretrained_cfg": {
            "tag": description.method,
            "custom_load": false,
            "input_size": [3, side, side],
            "fixed_input_size": false,
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": shares(description.mean),
            "std": shares(description.std),
            "num_classes": 0,
            "pool_size": [pooled, pooled],
            "first_conv": "conv1",
            "classifier": "fc",
        },
    }))
}
