//! Colour operations as Pillow's `ImageEnhance` computes them: blends in `f32`, clipped to 8 bits after each
//! one.
//!
//! Consecutive operations share sweeps over the image: a block goes through all of them before the next block
//! does. Only contrast needs the whole image first.

use super::{edit::Edit, hue};
use crate::{
    cpu::{Cpu, versions},
    image::RgbPlanes,
};

/// The pixels of a block, such that its three planes stay in the first-level cache.
const BLOCK: usize = 2048;

/// Applies `edits`, all of which are colour operations, one after the other.
pub(crate) fn adjust(cpu: Cpu, image: &mut RgbPlanes, edits: &[Edit]) {
    let mut contrast = None;
    for edits in edits.split_inclusive(|edit| matches!(edit, Edit::Contrast(_))) {
        if let [edits @ .., Edit::Contrast(factor)] = edits {
            let sum = sweep::<true>(cpu, image, contrast, edits);
            let mean = sum as f64 / (image.width * image.height) as f64;
            contrast = Some(Blend { other: (mean + 0.5) as u8, factor: *factor });
        } else {
            sweep::<false>(cpu, image, contrast.take(), edits);
        }
    }
    if contrast.is_some() {
        sweep::<false>(cpu, image, contrast, &[]);
    }
}

/// A blend of all values with one value.
#[derive(Debug, Clone, Copy)]
struct Blend {
    other: u8,
    factor: f32,
}

/// Applies a contrast whose mean is known, and then `edits`. With `SUM`, returns the sum of all grays.
fn sweep<const SUM: bool>(cpu: Cpu, image: &mut RgbPlanes, contrast: Option<Blend>, edits: &[Edit]) -> u64 {
    let mut sum = 0;
    let [red, green, blue] = image.rgb_mut();
    for ((red, green), blue) in red.chunks_mut(BLOCK).zip(green.chunks_mut(BLOCK)).zip(blue.chunks_mut(BLOCK))
    {
        if let Some(contrast) = contrast {
            blend(cpu, red, green, blue, contrast);
        }
        for edit in edits {
            match *edit {
                Edit::Brightness(factor) => blend(cpu, red, green, blue, Blend { other: 0, factor }),
                Edit::Saturation(factor) => blend_with_grays(cpu, red, green, blue, factor),
                Edit::Hue(turns) => hue::shift(cpu, red, green, blue, hue::steps(turns)),
                Edit::Grayscale => grayscale(cpu, red, green, blue),
                Edit::Solarize(threshold) => solarize(cpu, red, green, blue, threshold),
                _ => unreachable!("other edits move pixels, or are contrasts, at which the edits were split"),
            }
        }
        if SUM {
            sum += u64::from(sum_of_grays(cpu, red, green, blue));
        }
    }
    sum
}

/// Computes the luma of ITU-R BT.601 in 16-bit fixed point.
#[inline(always)]
pub(super) fn gray(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// Blends `factor` parts of `value` with 1 − `factor` parts of `other`; factors above 1 move away from
/// `other`.
#[inline(always)]
fn mix(value: u8, other: u8, factor: f32) -> u8 {
    let (value, other) = (f32::from(value), f32::from(other));
    whole((other + factor * (value - other)).clamp(0.0, 255.0))
}

/// Truncates a value from 0 to 255. `as` would handle all other numbers too, which costs eight times as much;
/// here the upper bits of the sum hold 2²³, the lower ones the number.
#[inline(always)]
fn whole(value: f32) -> u8 {
    (value.floor() + 8_388_608.0).to_bits() as u8
}

versions! {
    fn blend(red: &mut [u8], green: &mut [u8], blue: &mut [u8], with: Blend) {
        for values in [red, green, blue] {
            for value in values {
                *value = mix(*value, with.other, with.factor);
            }
        }
    }

    fn blend_with_grays(red: &mut [u8], green: &mut [u8], blue: &mut [u8], factor: f32) {
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let gray = gray(*r, *g, *b);
            (*r, *g, *b) = (mix(*r, gray, factor), mix(*g, gray, factor), mix(*b, gray, factor));
        }
    }

    fn grayscale(red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let gray = gray(*r, *g, *b);
            (*r, *g, *b) = (gray, gray, gray);
        }
    }

    fn solarize(red: &mut [u8], green: &mut [u8], blue: &mut [u8], threshold: u8) {
        for values in [red, green, blue] {
            for value in values {
                *value = if *value >= threshold { !*value } else { *value };
            }
        }
    }

    /// Sums the grays of a block, which fit into 32 bits.
    fn sum_of_grays(red: &[u8], green: &[u8], blue: &[u8]) -> u32 {
        red.iter().zip(green).zip(blue).map(|((&r, &g), &b)| u32::from(gray(r, g, b))).sum()
    }
}
