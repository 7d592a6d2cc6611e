//! Bilinear sampling of a window that is scaled and rotated.

use super::{edit::Window, geometry::reflect};
use crate::image::{FloatPlanes, RgbPlanes};

/// Samples the window of the image.
pub(crate) fn sample(image: &RgbPlanes, window: Window, out: &mut FloatPlanes) {
    let (width, height) = (window.width as usize, window.height as usize);
    out.reshape(width, height);
    let size = image.width * image.height;
    let (sin, cos) = window.degrees.to_radians().sin_cos();
    let [red, green, blue] = out.rgb_mut();
    for y in 0..height {
        let down = window.scale * (y as f64 + 0.5 - f64::from(window.height) / 2.0);
        for x in 0..width {
            let right = window.scale * (x as f64 + 0.5 - f64::from(window.width) / 2.0);
            let place = Place::new(
                image,
                window.x + cos * right - sin * down - 0.5,
                window.y + sin * right + cos * down - 0.5,
            );
            let at = y * width + x;
            red[at] = place.mix(&image.pixels[..size]);
            green[at] = place.mix(&image.pixels[size..2 * size]);
            blue[at] = place.mix(&image.pixels[2 * size..]);
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
    fn new(image: &RgbPlanes, x: f64, y: f64) -> Self {
        let (left, top) = (x.floor(), y.floor());
        let columns = pair(left as i32, image.width);
        let rows = pair(top as i32, image.height).map(|row| row * image.width);
        let pixels = [rows[0] + columns[0], rows[0] + columns[1], rows[1] + columns[0], rows[1] + columns[1]];
        Self { pixels, right: x - left, down: y - top }
    }

    /// Interpolates the place in a plane.
    fn mix(&self, plane: &[u8]) -> f64 {
        let [a, b, c, d] = self.pixels.map(|at| f64::from(plane[at]));
        let upper = a + self.right * (b - a);
        let lower = c + self.right * (d - c);
        (upper + self.down * (lower - upper)) / 255.0
    }
}

/// Returns a pixel and the next one of a row that is continued by reflection.
fn pair(first: i32, length: usize) -> [usize; 2] {
    if first >= 0 && (first as usize) < length - 1 {
        return [first as usize, first as usize + 1];
    }
    [reflect(first, length), reflect(first.saturating_add(1), length)]
}
