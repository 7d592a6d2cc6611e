//! Colour operations as Pillow's `ImageEnhance` computes them: blends in `f32`, cut off to 8 bits after each one.
//!
//! Operations that follow each other share sweeps over the image: a block of it goes through all of them before the next
//! one does. Only contrast must know the whole image first.

use super::{edit::Edit, hue};
use crate::{
    cpu::{Cpu, versions},
    image::RgbPlanes,
};

/// Pixels of a block: its three planes stay in the nearest cache.
const BLOCK: usize = 2048;

/// Does `edits`, all of which are operations on colours, one after the other.
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

/// A blend of all values with one.
#[derive(Debug, Clone, Copy)]
struct Blend {
    other: u8,
    factor: f32,
}

/// Does the blend of a contrast whose mean is known by now, and then `edits`; gives the sum of all grays if `SUM`.
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
                _ => unreachable!("the rest moves pixels, or must know the whole image"),
            }
        }
        if SUM {
            sum += u64::from(sum_of_grays(cpu, red, green, blue));
        }
    }
    sum
}

/// Luma of ITU-R 601, in 16-bit fixed point.
#[inline(always)]
fn gray(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// `factor` of the value and the rest of `other`; beyond 1 it moves away from `other`.
#[inline(always)]
fn mix(value: u8, other: u8, factor: f32) -> u8 {
    let (value, other) = (f32::from(value), f32::from(other));
    whole((other + factor * (value - other)).clamp(0.0, 255.0))
}

/// The whole part of a value from 0 to 255. `as` would take care of all others too, which costs eight times as much:
/// here the upper bits of the sum hold the 2²³, the lower ones the number.
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

    /// Of a block, for which 32 bits are enough.
    fn sum_of_grays(red: &[u8], green: &[u8], blue: &[u8]) -> u32 {
        red.iter().zip(green).zip(blue).map(|((&r, &g), &b)| u32::from(gray(r, g, b))).sum()
    }
}
