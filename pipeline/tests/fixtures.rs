//! Every operation and every recipe of the fixtures, to the bit.
//!
//! The fixtures are all files of kind `amdim_augment` in `tests/fixtures`, or in the folder `AMDIM_FIXTURES`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{check_image, image, integer, number, pillow_edits, text};
use pipeline::{Edit, Op, Plan, Recipe, Rgb, SampleSeed, edit};
use safetensors::SafeTensors;
use serde_json::Value;

const NOWHERE: SampleSeed = SampleSeed { seed: 0, epoch: 0, index: 0 };

#[test]
fn every_augment_fixture_agrees_with_pillow() {
    for (facts, tensors) in common::fixtures("amdim_augment") {
        check_file(&facts, &SafeTensors::deserialize(&tensors).unwrap());
    }
}

fn check_file(facts: &Value, tensors: &SafeTensors) {
    for case in facts["ops"].as_array().unwrap() {
        check_op(case, tensors);
    }
    for case in facts["pipelines"].as_array().unwrap() {
        check_pipeline(case, tensors);
    }
}

fn check_op(case: &Value, tensors: &SafeTensors) {
    let input = image(tensors, text(&case["input"]));
    let output = edit(&input, &edits_of(text(&case["op"]), &case["params"], &input));
    if let Some(name) = case["output"].as_str() {
        check_image(&output, tensors, name, case);
    }
    if let Some(name) = case["output_f32"].as_str() {
        check_normalized(&output, &case["params"], tensors, name);
    }
}

fn check_pipeline(case: &Value, tensors: &SafeTensors) {
    let input = image(tensors, text(&case["input"]));
    for (view, key) in ["view1", "view2"].into_iter().enumerate() {
        let steps = case["shared"].as_array().unwrap().iter().chain(case[key].as_array().unwrap());
        let edits: Vec<Edit> = steps.flat_map(|step| edits_of(text(&step["op"]), step, &input)).collect();
        let output = edit(&input, &edits);
        if let Some(name) = case["output"][view].as_str() {
            check_image(&output, tensors, name, case);
        }
        if let Some(name) = case[format!("output_f32_{key}")].as_str() {
            check_normalized(&output, case, tensors, name);
        }
    }
}

fn check_normalized(output: &Rgb, params: &Value, tensors: &SafeTensors, name: &str) {
    let tensor = tensors.tensor(name).unwrap();
    let expected = tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let plane = output.pixels.len() / 3;
    for (at, expected) in expected.enumerate() {
        let (channel, pixel) = (at / plane, at % plane);
        let value = f64::from(output.pixels[3 * pixel + channel]) / 255.0;
        let value = (value - number(&params["mean"][channel])) / number(&params["std"][channel]);
        assert!((value - f64::from(expected)).abs() < 1e-6, "{name} at {at}: {value}, not {expected}");
    }
}

fn edits_of(op: &str, params: &Value, input: &Rgb) -> Vec<Edit> {
    match op {
        "translate_reflect" => {
            vec![Edit::Translate { dx: integer(&params["dx"]), dy: integer(&params["dy"]) }]
        }
        "test_transform" => test_transform(params, input),
        "c10_test_transform" => vec![],
        op => pillow_edits(op, params).unwrap_or_else(|| panic!("unknown operation `{op}`")),
    }
}

/// Draws the evaluation recipe: the place of its crop is part of the test.
fn test_transform(params: &Value, input: &Rgb) -> Vec<Edit> {
    let [edge, side] = ["resize", "center_crop"].map(|key| integer(&params[key]) as u32);
    let recipe = Recipe::new(vec![], vec![vec![Op::ResizeShort { edge }, Op::CenterCrop]], side);
    let mut plan = Plan::default();
    plan.draw(&recipe, NOWHERE, input.width, input.height).unwrap();
    plan.views.remove(0)
}
