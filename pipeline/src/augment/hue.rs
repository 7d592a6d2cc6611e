//! Hue shifts as Pillow computes them: through 8-bit HSV and back.
//!
//! The mixture of `f32` and `f64` is Pillow's own, and so are its roundings: with fewer of them, one pixel in some
//! thousands would differ by a level. A test goes through all colours.

use super::planes::Planes;

/// Turns the hue by `turns` of the colour circle, −½ to ½.
pub(crate) fn shift_hue(image: &mut Planes, turns: f64) {
    let steps = (turns * 255.0) as i32 & 255;
    let [red, green, blue] = image.rgb_mut();
    shift(red, green, blue, steps);
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn shift(red: &mut [u8], green: &mut [u8], blue: &mut [u8], steps: i32) {
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let (hue, saturation, value) = to_hsv(*r, *g, *b);
        (*r, *g, *b) = to_rgb((hue + steps) & 255, saturation, value);
    }
}

#[inline(always)]
fn to_hsv(r: u8, g: u8, b: u8) -> (i32, i32, i32) {
    let max = r.max(g).max(b);
    let range = max - r.min(g).min(b);
    // Where on the circle the strongest colour lies, and the other two. All branches here become selections.
    let by_leader = |red: u8, green: u8, blue: u8| {
        if r == max {
            red
        } else if g == max {
            green
        } else {
            blue
        }
    };
    let (base, plus, minus) = (by_leader(0, 2, 4), by_leader(b, r, g), by_leader(g, b, r));
    let divisor = f32::from(range.max(1));
    let below = |color: u8| f64::from(f32::from(max - color) / divisor);
    let sextant = (f64::from(base) + below(plus) - below(minus)) as f32;
    let turn = f64::from(sextant) / 6.0 + 1.0;
    let hue = whole(f64::from((turn - turn.floor()) as f32) * 255.0);
    let saturation = whole(f64::from(f32::from(range) / f32::from(max.max(1))) * 255.0);
    (if range == 0 { 0 } else { hue }, saturation, i32::from(max))
}

#[inline(always)]
fn to_rgb(hue: i32, saturation: i32, value: i32) -> (u8, u8, u8) {
    let sextant = hue * 6 / 255;
    let fraction = (hue * 6 - sextant * 255) as f32 / 255.0;
    let share = saturation as f32 / 255.0;
    let level = |missing: f64| whole(f64::from(value) * (1.0 - missing) + 0.5) as u8;
    let low = level(f64::from(share));
    let falling = level(f64::from(share * fraction));
    let rising = level(f64::from(share) * (1.0 - f64::from(fraction)));
    let value = value as u8;
    // Green is where red is four sextants on, blue where it is two on.
    let level_at = |sextant: i32| match sextant % 6 {
        0 | 5 => value,
        1 => falling,
        4 => rising,
        _ => low,
    };
    (level_at(sextant), level_at(sextant + 4), level_at(sextant + 2))
}

/// The whole part of a small number that is not negative, as `color::whole`.
#[inline(always)]
fn whole(value: f64) -> i32 {
    (value.floor() + 4_503_599_627_370_496.0).to_bits() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversion in the words of `conventions` in the fixtures.
    fn reference(r: u8, g: u8, b: u8, steps: i32) -> (u8, u8, u8) {
        let max = r.max(g).max(b);
        let range = f32::from(max - r.min(g).min(b));
        let [rc, gc, bc] = [r, g, b].map(|c| f32::from(max - c) / range);
        let (mut hue, mut saturation) = (0, 0);
        if range > 0.0 {
            saturation = (f64::from(range / f32::from(max)) * 255.0) as i32;
            let h = if r == max {
                bc - gc
            } else if g == max {
                (2.0 + f64::from(rc) - f64::from(bc)) as f32
            } else {
                (4.0 + f64::from(gc) - f64::from(rc)) as f32
            };
            let h = ((f64::from(h) / 6.0 + 1.0) % 1.0) as f32;
            hue = (f64::from(h) * 255.0) as i32;
        }
        let hue = (hue + steps) & 255;
        if saturation == 0 {
            return (max, max, max);
        }
        let x = f64::from(hue) * 6.0 / 255.0;
        let f = (x - x.floor()) as f32;
        let fs = saturation as f32 / 255.0;
        let v = f64::from(max);
        let p = (v * (1.0 - f64::from(fs))).round() as u8;
        let q = (v * (1.0 - f64::from(fs * f))).round() as u8;
        let t = (v * (1.0 - f64::from(fs) * (1.0 - f64::from(f)))).round() as u8;
        [(max, t, p), (q, max, p), (p, max, t), (p, q, max), (t, p, max), (max, p, q)][x.floor() as usize % 6]
    }

    #[test]
    fn every_colour_turns_as_in_pillow() {
        let mut slice = Planes::default();
        slice.reshape(256, 256);
        for steps in [0, 25, 231] {
            for red in 0..=255u8 {
                let [r, g, b] = slice.rgb_mut();
                r.fill(red);
                for i in 0..1 << 16 {
                    (g[i], b[i]) = ((i >> 8) as u8, i as u8);
                }
                shift(r, g, b, steps);
                for i in 0..1 << 16 {
                    let expected = reference(red, (i >> 8) as u8, i as u8, steps);
                    assert_eq!((r[i], g[i], b[i]), expected, "{red} {} {} by {steps}", i >> 8, i & 255);
                }
            }
        }
    }
}
