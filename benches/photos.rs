//! Made-up pictures that cost about as much to decode as photos.

#![allow(dead_code, reason = "not every bench uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between benches")]

use pipeline::{Rgb, encode_jpeg};

/// Returns `count` JPEGs of 500×375 pixels and about 110 KB, the mean size in ImageNet.
pub(crate) fn photos(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|seed| encode_jpeg(&photo(500, 375, seed), 92).expect("the size is a JPEG's")).collect()
}

/// Draws a picture with detail at all scales, which is stronger at coarser ones.
pub(crate) fn photo(width: u32, height: u32, seed: u64) -> Rgb {
    let mut image = Rgb::black(width, height);
    for (at, value) in image.pixels.iter_mut().enumerate() {
        let (x, y, channel) =
            (at as u64 / 3 % u64::from(width), at as u64 / 3 / u64::from(width), at as u64 % 3);
        let detail: f64 =
            (0..7).map(|octave| noise(x, y, octave, seed * 31 + channel / 2) * AMPLITUDES[octave]).sum();
        *value = (128.0 + detail).clamp(0.0, 255.0) as u8;
    }
    image
}

/// Amplitudes of details, from single pixels to 64 pixels.
const AMPLITUDES: [f64; 7] = [18.0, 26.0, 36.0, 48.0, 64.0, 80.0, 100.0];

/// Returns noise at a pixel: random values between −1 and 1 on a grid of 2^octave pixels, interpolated
/// linearly.
fn noise(x: u64, y: u64, octave: usize, seed: u64) -> f64 {
    let corner = |dx, dy| random((x >> octave) + dx, (y >> octave) + dy, seed * 8 + octave as u64);
    let share = |at: u64| (at & ((1 << octave) - 1)) as f64 / f64::from(1u32 << octave);
    let mix = |a: f64, b: f64, share: f64| a + (b - a) * share;
    let (u, v) = (share(x), share(y));
    mix(mix(corner(0, 0), corner(1, 0), u), mix(corner(0, 1), corner(1, 1), u), v)
}

fn random(x: u64, y: u64, seed: u64) -> f64 {
    let mut bits = (x << 42 | y << 21).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (bits >> 32) as f64 / f64::from(1u32 << 31) - 1.0
}
