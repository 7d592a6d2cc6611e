//! Hue shifts as Pillow computes them: through 8-bit HSV and back.
//!
//! Pillow mixes `f32` and `f64`. Here everything is `f32`, with formulas that round to the same 8 bits. Tests
//! check all arguments of each formula, and all colours.

use crate::cpu::versions;

/// Converts turns of the colour circle, −½ to ½, to steps of the 8-bit hue.
pub(crate) fn steps(turns: f64) -> i32 {
    (turns * 255.0) as i32 & 255
}

versions! {
    /// Turns the hue by `steps` of 255.
    pub(crate) fn shift(red: &mut [u8], green: &mut [u8], blue: &mut [u8], steps: i32) {
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let (hue, saturation, value) = to_hsv(*r, *g, *b);
            (*r, *g, *b) = to_rgb((hue + steps) & 255, saturation, value);
        }
    }
}

#[inline(always)]
fn to_hsv(r: u8, g: u8, b: u8) -> (i32, i32, i32) {
    let max = r.max(g).max(b);
    let range = max - r.min(g).min(b);
    // Picks by the strongest channel: its place on the circle, and the other two. The branches become
    // selections.
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
    let (below_plus, below_minus) = (max - plus, max - minus);
    let hue = hue(base, below_plus, below_minus, range);
    (if range == 0 { 0 } else { hue }, saturation(range, max), i32::from(max))
}

/// Computes the 8-bit hue from the place of the strongest channel and the distances of the other two below
/// it. One of those is the whole range, so its quotient is 1: with one rounding less than Pillow, the sum is
/// the same.
#[inline(always)]
fn hue(base: u8, below_plus: u8, below_minus: u8, range: u8) -> i32 {
    let is_plus_weakest = below_plus == range;
    let other = if is_plus_weakest { below_minus } else { below_plus };
    let quotient = f32::from(other) / f32::from(range.max(1));
    let base = f32::from(base);
    let sextant = if is_plus_weakest { (base + 1.0) - quotient } else { (base - 1.0) + quotient };
    let hue = sextant / 6.0 * 255.0;
    whole(if hue < 0.0 { hue + 255.0 } else { hue })
}

#[inline(always)]
fn saturation(range: u8, max: u8) -> i32 {
    whole(f32::from(range) * 255.0 / f32::from(max.max(1)))
}

#[inline(always)]
fn to_rgb(hue: i32, saturation: i32, value: i32) -> (u8, u8, u8) {
    let sextant = hue * 6 / 255;
    let fraction = hue * 6 - sextant * 255;
    let low = level(value, saturation, 255);
    let falling = level(value, saturation, fraction);
    let rising = level(value, saturation, 255 - fraction);
    let value = value as u8;
    // Green is the level of red four sextants later, blue that of two later.
    let level_at = |sextant: i32| match sextant % 6 {
        0 | 5 => value,
        1 => falling,
        4 => rising,
        _ => low,
    };
    (level_at(sextant), level_at(sextant + 4), level_at(sextant + 2))
}

/// Reduces `value` by its part `saturation` · `fraction` (both of 255), rounded. The product is below 2²⁴ and
/// hence exact.
#[inline(always)]
fn level(value: i32, saturation: i32, fraction: i32) -> u8 {
    let product = (value * (saturation * fraction)) as f32;
    whole(value as f32 - product * (1.0 / 65_025.0) + 0.5) as u8
}

/// Truncates a number from 0 to 256, as `color::whole` does.
#[inline(always)]
fn whole(value: f32) -> i32 {
    (value.floor() + 8_388_608.0).to_bits() as i32 & 0x1FF
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    /// Converts as described by `conventions` in the fixtures.
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
    fn every_argument_of_a_formula_gives_the_result_of_pillows_mixed_precision() {
        for range in 1..=255u8 {
            for other in 0..=range {
                let quotient = f64::from(f32::from(other) / f32::from(range));
                for base in [0, 2, 4] {
                    let pillow = |sextant: f64| {
                        let turn = f64::from(sextant as f32) / 6.0 + 1.0;
                        (f64::from((turn % 1.0) as f32) * 255.0) as i32
                    };
                    let plus = pillow(f64::from(base) + 1.0 - quotient);
                    let minus = pillow(f64::from(base) + quotient - 1.0);
                    assert_eq!(hue(base, range, other, range), plus, "{base} + 1 − {other}/{range}");
                    assert_eq!(hue(base, other, range, range), minus, "{base} + {other}/{range} − 1");
                }
            }
            for part in 0..=range {
                let pillow = f64::from(f32::from(part) / f32::from(range)) * 255.0;
                assert_eq!(saturation(part, range), pillow as i32, "{part}/{range}");
            }
        }
    }

    #[test]
    fn every_level_is_that_of_pillows_mixed_precision() {
        for (value, saturation) in
            (0..256).flat_map(|value| (0..256).map(move |saturation| (value, saturation)))
        {
            let (light, share) = (f64::from(value), saturation as f32 / 255.0);
            let low = (light * (1.0 - f64::from(share)) + 0.5) as u8;
            assert_eq!(level(value, saturation, 255), low, "{value} {saturation}");
            for fraction in (0..255).step_by(3) {
                let part = fraction as f32 / 255.0;
                let falling = (light * (1.0 - f64::from(share * part)) + 0.5) as u8;
                let rising = (light * (1.0 - f64::from(share) * (1.0 - f64::from(part))) + 0.5) as u8;
                assert_eq!(level(value, saturation, fraction), falling, "{value} {saturation} {fraction}");
                assert_eq!(
                    level(value, saturation, 255 - fraction),
                    rising,
                    "{value} {saturation} {fraction}"
                );
            }
        }
    }

    #[test]
    fn every_colour_turns_as_in_pillow() {
        let (mut r, mut g, mut b) = (vec![0; 1 << 16], vec![0; 1 << 16], vec![0; 1 << 16]);
        for steps in [0, 25, 231] {
            for red in 0..=255u8 {
                r.fill(red);
                for i in 0..1 << 16 {
                    (g[i], b[i]) = ((i >> 8) as u8, i as u8);
                }
                shift(Cpu::default(), &mut r, &mut g, &mut b, steps);
                for i in 0..1 << 16 {
                    let expected = reference(red, (i >> 8) as u8, i as u8, steps);
                    assert_eq!((r[i], g[i], b[i]), expected, "{red} {} {} by {steps}", i >> 8, i & 255);
                }
            }
        }
    }
}
