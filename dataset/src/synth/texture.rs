//! Patterns that fill a shape or a background.

use super::placement::Placement;

/// A pattern of two tones over the plane, with one period per unit of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texture {
    Dots,
    Checks,
    Stripes,
    Plain,
    Lattice,
    Rays,
    Waves,
    Rings,
    Speckles,
    Zigzag,
}

impl Texture {
    pub(super) const ALL: [Self; 10] = [
        Self::Dots,
        Self::Checks,
        Self::Stripes,
        Self::Plain,
        Self::Lattice,
        Self::Rays,
        Self::Waves,
        Self::Rings,
        Self::Speckles,
        Self::Zigzag,
    ];

    /// Returns the share of the second tone at (x, y), from 0 to 1. `sharpness` is about the number of pixels
    /// in a period, so that the edge between the tones is about a pixel wide.
    pub(super) fn tone(self, x: f32, y: f32, sharpness: f32) -> f32 {
        let level = match self {
            Self::Dots => wave(x) + wave(y) - 0.5,
            Self::Checks => wave(x) * wave(y),
            Self::Stripes => wave(x),
            Self::Plain => return 0.0,
            Self::Lattice => wave(x).max(wave(y)) - 0.45,
            Self::Rays => wave(2.0 * pseudo_angle(x, y)),
            Self::Waves => wave(x + 0.3 * wave(0.6 * y)),
            Self::Rings => wave((x * x + y * y).sqrt()),
            Self::Speckles => value_noise(1.7 * x, 1.7 * y) - 0.5,
            Self::Zigzag => wave(x + 0.8 * (y - y.round()).abs()),
        };
        (0.5 + 0.25 * sharpness * level).clamp(0.0, 1.0)
    }
}

/// Approximates cos 2πx by plain arithmetic: the same bits on every machine, and faster.
pub(super) fn wave(x: f32) -> f32 {
    let triangle = 1.0 - 4.0 * (x - x.round()).abs();
    triangle * (1.5 - 0.5 * triangle * triangle)
}

/// Returns a number that grows by 4 around the origin, though not evenly.
fn pseudo_angle(x: f32, y: f32) -> f32 {
    let t = y / (x.abs() + y.abs()).max(1e-6);
    if x >= 0.0 { t } else { 2.0 - t }
}

/// Interpolates random values at the integers smoothly; from 0 to 1.
pub(super) fn value_noise(x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - left), smooth(y - top));
    let at = |i: i32, j: i32| value_at(left as i32 + i, top as i32 + j);
    let upper = at(0, 0) + u * (at(1, 0) - at(0, 0));
    let lower = at(0, 1) + u * (at(1, 1) - at(0, 1));
    upper + v * (lower - upper)
}

fn value_at(x: i32, y: i32) -> f32 {
    let mut hash = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297A_2D39);
    (hash >> 8) as f32 / (1 << 24) as f32
}

/// A texture on the plane: rotated, shifted and scaled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cloth {
    texture: Texture,
    placement: Placement,
    sharpness: f32,
}

impl Cloth {
    /// Lays out a texture; `period` is in units of the image's short side, which has `pixels` pixels.
    pub(super) fn new(texture: Texture, placement: Placement, period: f32, pixels: f32) -> Self {
        let sharpness = period * pixels;
        Self { texture, placement: placement.scaled(period), sharpness }
    }

    pub(super) fn tone(&self, x: f32, y: f32) -> f32 {
        let (x, y) = self.placement.local(x, y);
        self.texture.tone(x, y, self.sharpness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_texture_but_the_plain_one_shows_both_tones() {
        for texture in Texture::ALL {
            let tones =
                (0..40_000).map(|i| texture.tone((i % 200) as f32 / 40.0, (i / 200) as f32 / 40.0, 8.0));
            let mean = tones.sum::<f32>() / 40_000.0;
            let expected = if texture == Texture::Plain { 0.0..0.01 } else { 0.2..0.7 };
            assert!(expected.contains(&mean), "{texture:?} has mean tone {mean}");
        }
    }
}
