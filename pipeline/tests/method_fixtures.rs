//! Every operation and every pipeline of the methods' fixtures: 8-bit results to the bit, floats to 10⁻⁶.
//!
//! The fixtures are all files of kind `methods_augment` in `tests/fixtures`, or in the folder
//! `AMDIM_FIXTURES`. Some of their operations are none of this crate's: these are compared with their
//! definition, so that no number of a file goes unchecked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod reference;

use common::{check_image, image, number, pillow_edits, text};
use pipeline::{Components, Curve, Edit, Window, edit, edit_unrounded};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

#[test]
fn every_augment_fixture_of_the_methods_agrees_with_its_reference() {
    for (facts, tensors) in common::fixtures("methods_augment") {
        let tensors = SafeTensors::deserialize(&tensors).unwrap();
        for case in facts["ops"].as_array().unwrap() {
            check_op(case, &tensors);
        }
        facts["pipelines"].as_array().unwrap().iter().for_each(|case| check_pipeline(case, &tensors));
    }
}

#[test]
fn a_falsified_number_of_an_augment_fixture_is_noticed() {
    let (facts, data) = common::fixtures("methods_augment").into_iter().next().unwrap_or_default();
    for case in facts["ops"].as_array().into_iter().chain(facts["pipelines"].as_array()).flatten() {
        let output = text(&case["output"]);
        let mut falsified = data.clone();
        let (first, length, dtype) = {
            let tensors = SafeTensors::deserialize(&data).unwrap();
            let tensor = tensors.tensor(output).unwrap();
            let offset = tensor.data().as_ptr() as usize - data.as_ptr() as usize;
            (offset, tensor.data().len(), tensor.dtype())
        };
        // The lowest bit of a byte in the middle; of a float, one bit of its leading part.
        let at = first + length / 2 / 12 * 12;
        falsified[if dtype == Dtype::U8 { at } else { at + 2 }] ^= if dtype == Dtype::U8 { 1 } else { 0x40 };
        let check = || {
            let tensors = SafeTensors::deserialize(&falsified).unwrap();
            if case.get("params").is_some() {
                check_op(case, &tensors);
            } else {
                check_pipeline(case, &tensors);
            }
        };
        assert!(std::panic::catch_unwind(check).is_err(), "{case}");
    }
}

fn check_op(case: &Value, tensors: &SafeTensors) {
    let (op, params) = (text(&case["op"]), &case["params"]);
    let output = text(&case["output"]);
    match reference::values(op, params, &image(tensors, text(&case["input"]))) {
        Some(values) if tensors.tensor(output).unwrap().dtype() == Dtype::U8 => {
            let expected = image(tensors, output);
            for (at, (value, &expected)) in values.iter().zip(&expected.pixels).enumerate() {
                assert!(
                    (value - f64::from(expected)).abs() < 0.501,
                    "{case} at {at}: {value}, not {expected}"
                );
            }
        }
        Some(values) => check_floats(&values, tensors, output, case),
        None => check_edits(case, &edits_of(op, params), tensors),
    }
}

fn check_pipeline(case: &Value, tensors: &SafeTensors) {
    let steps = case["ops"].as_array().unwrap();
    let edits: Vec<Edit> = steps.iter().flat_map(|step| edits_of(text(&step["op"]), step)).collect();
    check_edits(case, &edits, tensors);
}

fn check_edits(case: &Value, edits: &[Edit], tensors: &SafeTensors) {
    let (input, output) = (image(tensors, text(&case["input"])), text(&case["output"]));
    if tensors.tensor(output).unwrap().dtype() == Dtype::U8 {
        return check_image(&edit(&input, edits), tensors, output, case);
    }
    let planes = edit_unrounded(&input, edits);
    let size = planes.len() / 3;
    let values: Vec<f64> = (0..planes.len()).map(|at| planes[at % 3 * size + at / 3]).collect();
    check_floats(&values, tensors, output, case);
    let rounded = edit(&input, edits);
    for (value, rounded) in values.iter().zip(rounded.pixels) {
        assert!((value * 255.0 - f64::from(rounded)).abs() <= 0.5, "{case}: {value} became {rounded}");
    }
}

/// Checks values in the order (height, width, 3) to 10⁻⁶ of the largest.
fn check_floats(values: &[f64], tensors: &SafeTensors, name: &str, case: &Value) {
    let tensor = tensors.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
    let expected: Vec<f64> =
        tensor.data().as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    assert_eq!(values.len(), expected.len(), "{case}");
    let bound = 1e-6 * expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for (at, (value, expected)) in values.iter().zip(&expected).enumerate() {
        assert!((value - expected).abs() <= bound, "{case} at {at}: {value}, not {expected}");
    }
}

fn edits_of(op: &str, params: &Value) -> Vec<Edit> {
    match op {
        "pil_gaussian_blur" => vec![Edit::Blur(number(&params["sigma"]))],
        "solarize" => vec![Edit::Solarize(number(&params["threshold"]) as u8)],
        "exemplar_geometric" => vec![Edit::Sample(window(params))],
        "exemplar_pca_contrast" => vec![Edit::PcaContrast {
            factors: triple(&params["factors"]),
            colours: Components {
                mean: triple(&params["mean"]),
                rows: std::array::from_fn(|row| triple(&params["components_rows"][row])),
            },
        }],
        "exemplar_hsv_contrast" => vec![Edit::HsvContrast {
            saturation: curve(params, "s"),
            value: curve(params, "v"),
            hue: number(&params["hue_add"]),
        }],
        op => pillow_edits(op, params).unwrap_or_else(|| panic!("unknown operation `{op}`")),
    }
}

fn window(params: &Value) -> Window {
    let value = |key| number(&params[key]);
    let unit = value("size") * value("base_scale");
    let side = value("size") as u32;
    Window {
        x: value("centre_x") + value("dx") * unit,
        y: value("centre_y") + value("dy") * unit,
        scale: value("scale") * value("base_scale"),
        degrees: value("degrees"),
        width: side,
        height: side,
    }
}

fn curve(params: &Value, channel: &str) -> Curve {
    let value = |name: &str| number(&params[format!("{channel}_{name}")]);
    Curve { power: value("power"), factor: value("factor"), shift: value("add") }
}

fn triple(values: &Value) -> [f64; 3] {
    std::array::from_fn(|at| number(&values[at]))
}
