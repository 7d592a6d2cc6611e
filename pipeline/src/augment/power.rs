//! Powers of numbers from 0 to 1, by arithmetic that CPUs do for several numbers at a time and that gives
//! the same bits on all of them.

/// 1.5 · 2⁵²: the lower bits of its sum with a smaller number are that number, rounded to the nearest.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Computes `base` to the power of `exponent`, with an error below 10⁻¹². `base` is from 0 to 1, `exponent`
/// from 0 (exclusive) to 100.
#[inline(always)]
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    // A power of less than 2⁻¹⁰²² becomes 0.
    let bits = logarithm(base.max(f64::MIN_POSITIVE)) * exponent;
    let power = exponential(bits.max(-1022.0));
    if base > 0.0 && bits > -1022.0 { power } else { 0.0 }
}

/// Computes the largest whole number that is not above a number from −2³¹ to 2³¹.
#[inline(always)]
pub(super) fn floor(x: f64) -> f64 {
    let near = (x + ROUNDER) - ROUNDER;
    if near > x { near - 1.0 } else { near }
}

/// Computes the binary logarithm of a normal number.
#[inline(always)]
fn logarithm(x: f64) -> f64 {
    // x = mantissa · 2^exponent, with a mantissa from √½ to √2.
    const SQRT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = ((shifted as i64) >> 52) as u64;
    let mantissa = f64::from_bits(x.to_bits().wrapping_sub(exponent << 52));
    // The exponent as a float: it is added to the lower bits of `ROUNDER`.
    let exponent = f64::from_bits(ROUNDER.to_bits().wrapping_add(exponent)) - ROUNDER;
    // ln mantissa = 2 artanh z.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let odd =
        [1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    let series = odd.iter().fold(0.0, |sum, coefficient| sum * square + coefficient);
    exponent + 2.0 * std::f64::consts::LOG2_E * z * series
}

/// Computes 2 to the power of a number from −1022 to 1023.
#[inline(always)]
fn exponential(x: f64) -> f64 {
    let whole = x + ROUNDER;
    let rest = (x - (whole - ROUNDER)) * std::f64::consts::LN_2;
    let series = (1..=13).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    let exponent = whole.to_bits().wrapping_sub(ROUNDER.to_bits());
    f64::from_bits(series.to_bits().wrapping_add(exponent << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_the_standard_library() {
        for exponent in [1e-3, 0.25, 0.5, 1.0, 1.7, 2.0, 4.0, 100.0] {
            for step in 0..=10_000 {
                let base = f64::from(step) / 10_000.0;
                let (found, expected) = (power(base, exponent), base.powf(exponent));
                assert!((found - expected).abs() < 1e-12, "{base}^{exponent}: {found}, not {expected}");
            }
        }
        assert!(power(1e-300, 4.0) <= 0.0);
        assert!((power(5e-324, 1e-3) - f64::MIN_POSITIVE.powf(1e-3)).abs() < 1e-12);
    }

    #[test]
    fn the_floor_is_that_of_the_standard_library() {
        for step in -400..=400 {
            let x = f64::from(step) / 100.0;
            assert_eq!(floor(x) as i32, x.floor() as i32);
        }
        assert_eq!(floor(-1e-18) as i32, -1);
    }
}
