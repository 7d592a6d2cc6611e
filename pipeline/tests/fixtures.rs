//! Every operation and every recipe of the fixtures, to the bit.
//!
//! The fixtures are all files of kind `amdim_augment` in `tests/fixtures`, or in the folder `AMDIM_FIXTURES`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use pipeline::{Crop, Edit, Op, Plan, Recipe, Rgb, SampleSeed, edit};
use safetensors::SafeTensors;
use serde_json::Value;

const NOWHERE: SampleSeed = SampleSeed { seed: 0, epoch: 0, index: 0 };

#[test]
fn every_augment_fixture_agrees_with_pillow() {
    for (facts, tensors) in common::fixtures() {
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
    check_image(&output, tensors, case["output"].as_str(), case);
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
        check_image(&output, tensors, case["output"][view].as_str(), case);
        if let Some(name) = case[format!("output_f32_{key}")].as_str() {
            check_normalized(&output, case, tensors, name);
        }
    }
}

fn check_image(output: &Rgb, tensors: &SafeTensors, name: Option<&str>, case: &Value) {
    if let Some(name) = name {
        let expected = image(tensors, name);
        assert_eq!((output.width, output.height), (expected.width, expected.height), "{case}");
        let different = output.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a != b).count();
        assert_eq!(different, 0, "of {} values: {case}", expected.pixels.len());
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
    let factor = || number(&params["factor"]);
    match op {
        "hflip" => vec![Edit::Flip],
        "translate_reflect" => {
            vec![Edit::Translate { dx: integer(&params["dx"]), dy: integer(&params["dy"]) }]
        }
        "resized_crop" => vec![resized_crop(params)],
        "brightness" => vec![Edit::Brightness(factor() as f32)],
        "contrast" => vec![Edit::Contrast(factor() as f32)],
        "saturation" => vec![Edit::Saturation(factor() as f32)],
        "hue" => vec![Edit::Hue(factor())],
        "grayscale" => vec![Edit::Grayscale],
        "color_jitter" => color_jitter(params),
        "test_transform" => test_transform(params, input),
        "c10_test_transform" => vec![],
        unknown => panic!("unknown operation `{unknown}`"),
    }
}

fn resized_crop(params: &Value) -> Edit {
    let [top, left, height, width, side] =
        ["top", "left", "height", "width", "size"].map(|key| integer(&params[key]) as u32);
    Edit::ResizedCrop { crop: Crop { top, left, height, width }, width: side, height: side }
}

fn color_jitter(params: &Value) -> Vec<Edit> {
    let factor = |key| number(&params[key]) as f32;
    let edits = [
        Edit::Brightness(factor("brightness")),
        Edit::Contrast(factor("contrast")),
        Edit::Saturation(factor("saturation")),
        Edit::Hue(number(&params["hue"])),
    ];
    params["order"].as_array().unwrap().iter().map(|at| edits[integer(at) as usize]).collect()
}

/// Draws the evaluation recipe: the place of its crop is part of the test.
fn test_transform(params: &Value, input: &Rgb) -> Vec<Edit> {
    let [edge, side] = ["resize", "center_crop"].map(|key| integer(&params[key]) as u32);
    let recipe = Recipe { shared: vec![], views: vec![vec![Op::ResizeShort { edge }, Op::CenterCrop]], side };
    let mut plan = Plan::default();
    plan.draw(&recipe, NOWHERE, input.width, input.height).unwrap();
    plan.views.remove(0)
}

fn image(tensors: &SafeTensors, name: &str) -> Rgb {
    let tensor = tensors.tensor(name).unwrap();
    let [height, width, 3] = *tensor.shape() else { panic!("{name} is not an image") };
    Rgb { width: width as u32, height: height as u32, pixels: tensor.data().to_vec() }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn integer(value: &Value) -> i32 {
    value.as_i64().unwrap() as i32
}
