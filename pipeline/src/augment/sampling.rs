//! Bilinear sampling of a window that is scaled and rotated.

use super::{edit::Window, geometry::reflect, power::floor};
use crate::{
    cpu::{Cpu, versions},
    image::{FloatPlanes, RgbPlanes},
};

/// Samples the window of the image.
pub(crate) fn sample(cpu: Cpu, image: &RgbPlanes, window: Window, out: &mut FloatPlanes) {
    let (width, height) = (window.width as usize, window.height as usize);
    out.reshape(width, height);
    let planes = out.rgb_mut().map(|plane| plane.chunks_exact_mut(width));
    let [red, green, blue] = planes;
    for (y, ((red, green), blue)) in red.zip(green).zip(blue).enumerate() {
        sample_row(cpu, image, Line::new(window, y), red, green, blue);
    }
}

/// A row of samples: sample `x` is at (`left`, `top`) + (`x` − `middle`) · (`right`, `down`).
#[derive(Debug, Clone, Copy)]
struct Line {
    left: f64,
    top: f64,
    middle: f64,
    right: f64,
    down: f64,
}

impl Line {
    fn new(window: Window, y: usize) -> Self {
        let (sin, cos) = window.degrees.to_radians().sin_cos();
        let below = window.scale * (y as f64 + 0.5 - f64::from(window.height) / 2.0);
        Self {
            left: window.x - sin * below - 0.5,
            top: window.y + cos * below - 0.5,
            middle: f64::from(window.width) / 2.0 - 0.5,
            right: cos * window.scale,
            down: sin * window.scale,
        }
    }

    /// Returns the place of a sample: columns and rows from the middle of the first pixel.
    #[inline(always)]
    fn at(self, x: usize) -> (f64, f64) {
        let steps = x as f64 - self.middle;
        (self.left + self.right * steps, self.top + self.down * steps)
    }
}

versions! {
    fn sample_row(image: &RgbPlanes, line: Line, red: &mut [f64], green: &mut [f64], blue: &mut [f64]) {
        let (width, size) = (image.width, image.width * image.height);
        let (reds, rest) = image.pixels.split_at(size);
        let (greens, blues) = rest.split_at(size);
        for (x, ((red, green), blue)) in red.iter_mut().zip(green).zip(blue).enumerate() {
            let (column, row) = line.at(x);
            let place = Place::new(width, image.height, column, row);
            (*red, *green, *blue) = (place.mix(reds), place.mix(greens), place.mix(blues));
        }
    }
}

/// The four pixels around a place, and its distances from the upper left one.
#[derive(Debug, Clone, Copy)]
struct Place {
    pixels: [usize; 4],
    right: f64,
    down: f64,
}

impl Place {
    /// Finds the place in an image that is continued by reflection.
    #[inline(always)]
    fn new(width: usize, height: usize, column: f64, row: f64) -> Self {
        let (left, top) = (floor(column), floor(row));
        let columns = pair(left as i32, width);
        let rows = pair(top as i32, height).map(|row| row * width);
        let pixels = [rows[0] + columns[0], rows[0] + columns[1], rows[1] + columns[0], rows[1] + columns[1]];
        Self { pixels, right: column - left, down: row - top }
    }

    /// Interpolates the place in a plane.
    #[inline(always)]
    fn mix(&self, plane: &[u8]) -> f64 {
        let [a, b, c, d] = self.pixels.map(|at| f64::from(plane[at]));
        let upper = a + self.right * (b - a);
        let lower = c + self.right * (d - c);
        (upper + self.down * (lower - upper)) * (1.0 / 255.0)
    }
}

/// Returns a pixel and the next one of a row that is continued by reflection.
#[inline(always)]
fn pair(first: i32, length: usize) -> [usize; 2] {
    if first >= 0 && (first as usize) + 1 < length {
        return [first as usize, first as usize + 1];
    }
    [reflect(first, length), reflect(first.saturating_add(1), length)]
}
