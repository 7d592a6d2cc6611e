//! Colour operations as Pillow's `ImageEnhance` computes them: blends in `f32`, cut off to 8 bits after each one.

use multiversion::multiversion;

use super::planes::Planes;

/// Blends with black.
pub(crate) fn brightness(image: &mut Planes, factor: f32) {
    blend_with(&mut image.pixels, 0, factor);
}

/// Blends with the mean gray of the image.
pub(crate) fn contrast(image: &mut Planes, factor: f32) {
    let [red, green, blue] = image.rgb_mut();
    let mean = sum_of_grays(red, green, blue) as f64 / red.len() as f64;
    blend_with(&mut image.pixels, (mean + 0.5) as u8, factor);
}

/// Blends each pixel with its gray.
pub(crate) fn saturation(image: &mut Planes, factor: f32) {
    let [red, green, blue] = image.rgb_mut();
    blend_with_grays(red, green, blue, factor);
}

/// Replaces each pixel by its gray.
pub(crate) fn grayscale(image: &mut Planes) {
    let [red, green, blue] = image.rgb_mut();
    gray_into_red(red, green, blue);
    green.copy_from_slice(red);
    blue.copy_from_slice(red);
}

/// Luma of ITU-R 601, in 16-bit fixed point.
#[inline(always)]
fn gray(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// `factor` of the value and the rest of `other`; beyond 1 it moves away from `other`.
#[inline(always)]
fn blend(value: u8, other: u8, factor: f32) -> u8 {
    let (value, other) = (f32::from(value), f32::from(other));
    whole((other + factor * (value - other)).clamp(0.0, 255.0))
}

/// The whole part of a value from 0 to 255. `as` would take care of all others too, which costs eight times as much:
/// here the upper bits of the sum hold the 2²³, the lower ones the number.
#[inline(always)]
fn whole(value: f32) -> u8 {
    (value.floor() + 8_388_608.0).to_bits() as u8
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn blend_with(pixels: &mut [u8], other: u8, factor: f32) {
    for value in pixels {
        *value = blend(*value, other, factor);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn blend_with_grays(red: &mut [u8], green: &mut [u8], blue: &mut [u8], factor: f32) {
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let gray = gray(*r, *g, *b);
        (*r, *g, *b) = (blend(*r, gray, factor), blend(*g, gray, factor), blend(*b, gray, factor));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn gray_into_red(red: &mut [u8], green: &[u8], blue: &[u8]) {
    for ((r, &g), &b) in red.iter_mut().zip(green).zip(blue) {
        *r = gray(*r, g, b);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn sum_of_grays(red: &[u8], green: &[u8], blue: &[u8]) -> u64 {
    let rows = red.chunks(1 << 16).zip(green.chunks(1 << 16)).zip(blue.chunks(1 << 16));
    rows.map(|((red, green), blue)| {
        let pixels = red.iter().zip(green).zip(blue);
        u64::from(pixels.map(|((&r, &g), &b)| u32::from(gray(r, g, b))).sum::<u32>())
    })
    .sum()
}
