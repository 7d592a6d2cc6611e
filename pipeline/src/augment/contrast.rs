//! Exemplar-CNN's changes of contrast and colour, on floats from 0 to 1.

use super::{
    edit::Curve,
    op::Components,
    power::{floor, power},
};
use crate::{
    cpu::{Cpu, versions},
    image::FloatPlanes,
};

/// Multiplies the projections of all colours on the principal components by `factors`, and clips.
pub(crate) fn scale_components(cpu: Cpu, image: &mut FloatPlanes, factors: [f64; 3], colours: &Components) {
    let [red, green, blue] = image.rgb_mut();
    // The matrix Σ factor · component · componentᵀ.
    let entry = |row: usize, column: usize| {
        let parts = factors.iter().zip(&colours.rows);
        parts.map(|(factor, component)| factor * component[row] * component[column]).sum()
    };
    let matrix = std::array::from_fn(|row| std::array::from_fn(|column| entry(row, column)));
    multiply(cpu, red, green, blue, colours.mean, matrix);
}

/// Changes saturation and value of all colours by curves, and turns their hues.
pub(crate) fn change_hsv(cpu: Cpu, image: &mut FloatPlanes, saturation: Curve, value: Curve, hue: f64) {
    bend(cpu, image.rgb_mut(), saturation, value, hue);
}

versions! {
    fn multiply(red: &mut [f64], green: &mut [f64], blue: &mut [f64], mean: [f64; 3], matrix: [[f64; 3]; 3]) {
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let (x, y, z) = (*r - mean[0], *g - mean[1], *b - mean[2]);
            let row = |row: usize| {
                let [a, b, c] = matrix[row];
                (mean[row] + (a * x + b * y + c * z)).clamp(0.0, 1.0)
            };
            (*r, *g, *b) = (row(0), row(1), row(2));
        }
    }

    fn bend(planes: [&mut [f64]; 3], saturation: Curve, value: Curve, turn: f64) {
        let [red, green, blue] = planes;
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let (h, s, v) = to_hsv(*r, *g, *b);
            let hue = h + turn;
            (*r, *g, *b) = to_rgb(hue - floor(hue), curve(s, saturation), curve(v, value));
        }
    }
}

#[inline(always)]
fn curve(value: f64, Curve { power: exponent, factor, shift }: Curve) -> f64 {
    (power(value, exponent) * factor + shift).clamp(0.0, 1.0)
}

/// Converts to hue (in turns, possibly below 0), saturation and value.
#[inline(always)]
fn to_hsv(r: f64, g: f64, b: f64) -> (f64, f64, f64) {
    let max = r.max(g).max(b);
    let range = max - r.min(g).min(b);
    let (base, difference) = if r >= max {
        (0.0, g - b)
    } else if g >= max {
        (2.0, b - r)
    } else {
        (4.0, r - g)
    };
    let is_gray = range <= 0.0;
    let hue = (base + difference / if is_gray { 1.0 } else { range }) / 6.0;
    let saturation = range / if is_gray { 1.0 } else { max };
    (hue, saturation, max)
}

/// Converts from a hue of 0 to 1, saturation and value.
#[inline(always)]
fn to_rgb(hue: f64, saturation: f64, value: f64) -> (f64, f64, f64) {
    let sextant = hue * 6.0;
    // The share of the saturation by which a channel falls, which is that of red some sextants later.
    let level = |later: f64| {
        let place = sextant + later;
        let place = if place >= 6.0 { place - 6.0 } else { place };
        value - value * saturation * place.min(4.0 - place).clamp(0.0, 1.0)
    };
    (level(5.0), level(3.0), level(1.0))
}
