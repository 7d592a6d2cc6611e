//! The definitions of operations that other parts of the program compute, or none: the pipeline blurs as
//! Pillow does, and Lab and YCbCr are computed on the device.

use pipeline::Rgb;
use serde_json::Value;

use crate::common::{integer, number};

/// Computes an operation by its definition: (height, width, 3). `None` if it is one of the pipeline's.
pub(crate) fn values(op: &str, params: &Value, image: &Rgb) -> Option<Vec<f64>> {
    Some(match op {
        "simclr_blur" => {
            let radius = integer(&params["kernel_size"]) / 2;
            blur(image, radius, number(&params["sigma"]), |at, length| {
                (0..length).contains(&at).then_some(at)
            })
            .into_iter()
            .map(|value| value / 255.0)
            .collect()
        }
        "torchvision_gaussian_blur" => {
            let radius = (integer(&params["kernel_size"]) - 1) / 2;
            let mirrored = |at: i32, length: i32| Some((length - 1) - ((length - 1) - at.abs()).abs());
            blur(image, radius, number(&params["sigma"]), mirrored)
        }
        "rgb_to_lab" => colours(image, lab),
        "rgb_to_ycbcr" => colours(image, ycbcr),
        _ => return None,
    })
}

/// Blurs by a Gaussian of `radius` pixels. `place` finds the pixel of a row that stands for one at any
/// position; without one it is black.
fn blur(image: &Rgb, radius: i32, sigma: f64, place: impl Fn(i32, i32) -> Option<i32>) -> Vec<f64> {
    let weights: Vec<f64> =
        (-radius..=radius).map(|x| (-f64::from(x * x) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let (width, height) = (image.width as i32, image.height as i32);
    let pass = |values: &[f64], along_rows: bool| -> Vec<f64> {
        let value = |at: i32| {
            let (c, x, y) = (at % 3, at / 3 % width, at / 3 / width);
            let tap = |(offset, weight): (i32, &f64)| {
                let (x, y) =
                    if along_rows { (place(x + offset, width)?, y) } else { (x, place(y + offset, height)?) };
                Some(weight / sum * values[((y * width + x) * 3 + c) as usize])
            };
            (-radius..).zip(&weights).filter_map(tap).sum()
        };
        (0..3 * width * height).map(value).collect()
    };
    let values: Vec<f64> = image.pixels.iter().map(|&value| f64::from(value)).collect();
    pass(&pass(&values, true), false)
}

fn colours(image: &Rgb, convert: impl Fn([f64; 3]) -> [f64; 3]) -> Vec<f64> {
    let pixels = image.pixels.as_chunks::<3>().0.iter();
    pixels.flat_map(|pixel| convert(pixel.map(|value| f64::from(value) / 255.0))).collect()
}

fn lab(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|v| if v > 0.04045 { ((v + 0.055) / 1.055).powf(2.4) } else { v / 12.92 });
    let x = (0.412_453 * r + 0.357_580 * g + 0.180_423 * b) / 0.95047;
    let y = 0.212_671 * r + 0.715_160 * g + 0.072_169 * b;
    let z = (0.019_334 * r + 0.119_193 * g + 0.950_227 * b) / 1.08883;
    let [x, y, z] = [x, y, z].map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn ycbcr([r, g, b]: [f64; 3]) -> [f64; 3] {
    [
        16.0 + 65.481 * r + 128.553 * g + 24.966 * b,
        128.0 - 37.797 * r - 74.203 * g + 112.0 * b,
        128.0 + 112.0 * r - 93.786 * g - 18.214 * b,
    ]
}
