//! The golden files of augmentations, and how they name operations.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use pipeline::{Crop, Edit, Filter, Rgb};
use safetensors::SafeTensors;
use serde_json::Value;

/// Reads all files of this kind in `tests/fixtures` and its folder `methods`, or in the folder
/// `AMDIM_FIXTURES`. Only the project's own folders must have some.
pub(crate) fn fixtures(kind: &str) -> Vec<(Value, Vec<u8>)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let (folders, is_own) = match env::var_os("AMDIM_FIXTURES") {
        Some(folder) => (vec![PathBuf::from(folder)], false),
        None => (vec![own.join("methods"), own], true),
    };
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let facts: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            if facts["kind"] == kind {
                found.push((facts, fs::read(path.with_extension("safetensors")).unwrap()));
            }
        }
    }
    assert!(!is_own || !found.is_empty(), "no fixture of kind `{kind}` in {}", folders[0].display());
    found
}

/// Returns the edits of an operation of Pillow's; `None` if its name is none of them.
pub(crate) fn pillow_edits(op: &str, params: &Value) -> Option<Vec<Edit>> {
    let factor = |key| number(&params[key]) as f32;
    Some(match op {
        "hflip" => vec![Edit::Flip],
        "resized_crop" => vec![resized_crop(params)],
        "brightness" => vec![Edit::Brightness(factor("factor"))],
        "contrast" => vec![Edit::Contrast(factor("factor"))],
        "saturation" => vec![Edit::Saturation(factor("factor"))],
        "hue" => vec![Edit::Hue(number(&params["factor"]))],
        "grayscale" => vec![Edit::Grayscale],
        "color_jitter" => color_jitter(params),
        _ => return None,
    })
}

fn resized_crop(params: &Value) -> Edit {
    let [top, left, height, width, side] =
        ["top", "left", "height", "width", "size"].map(|key| integer(&params[key]) as u32);
    let filter = match params["interpolation"].as_str() {
        None | Some("bicubic") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(unknown) => panic!("unknown interpolation `{unknown}`"),
    };
    Edit::ResizedCrop { crop: Crop { top, left, height, width }, width: side, height: side, filter }
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

/// Checks that an image is the tensor of this name.
pub(crate) fn check_image(output: &Rgb, tensors: &SafeTensors, name: &str, case: &Value) {
    let expected = image(tensors, name);
    assert_eq!((output.width, output.height), (expected.width, expected.height), "{case}");
    let different = output.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a != b).count();
    assert_eq!(different, 0, "of {} values: {case}", expected.pixels.len());
}

/// Returns the image of this name.
pub(crate) fn image(tensors: &SafeTensors, name: &str) -> Rgb {
    let tensor = tensors.tensor(name).unwrap();
    let [height, width, 3] = *tensor.shape() else { panic!("{name} is not an image") };
    assert_eq!(tensor.dtype(), safetensors::Dtype::U8, "{name}");
    Rgb { width: width as u32, height: height as u32, pixels: tensor.data().to_vec() }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub(crate) fn integer(value: &Value) -> i32 {
    value.as_i64().unwrap() as i32
}
