//! Multiply-accumulates of encoders, as a counter in PyTorch has them.

use amdim_stream::encoder::EncoderConfig;
use serde_json::{Value, json};
use tch::{Device, nn::VarStore};

use crate::support;

#[test]
fn multiply_accumulates_of_every_encoder_are_those_that_pytorch_counts() {
    let encoders = [
        (json!({"name": "amdim", "ndf": 32, "n_rkhs": 64, "n_depth": 2}), 64),
        (json!({"name": "resnet18", "width": 24, "stem_width": 64}), 100),
        (json!({"name": "resnet34", "width": 8}), 32),
        (json!({"name": "resnet50", "width": 16}), 224),
        (json!({"name": "resnet18", "width": 32, "stem_width": 64, "split": "lab"}), 224),
        (json!({"name": "resnet50", "width": 8, "split": "ycbcr"}), 32),
        (json!({"name": "cpc", "width": 16}), 64),
        (json!({"name": "cpc", "width": 8, "bottleneck": true, "stages": [1, 2, 3]}), 128),
        (json!({"name": "exemplar"}), 32),
        (json!({"name": "exemplar", "widths": [8, 16, 24]}), 96),
    ];
    let mut descriptions = Vec::new();
    let mut found = Vec::new();
    for (settings, side) in encoders {
        let encoder: EncoderConfig = serde_json::from_value(settings).unwrap();
        found.push(encoder.chosen().build(&VarStore::new(Device::Cpu).root(), side).macs());
        let settings: Value = serde_json::to_value(&encoder).unwrap();
        descriptions.push(json!({"side": side, "encoder": settings}));
    }
    let counted = support::python("macs.py", &[&Value::from(descriptions).to_string()]);
    assert_eq!(found, serde_json::from_str::<Vec<u64>>(&counted).unwrap());
}
