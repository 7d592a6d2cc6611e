//! Operations that move pixels.

use super::edit::Crop;
use crate::image::RgbPlanes;

/// Moves the content `dx` pixels to the right and `dy` down; the uncovered border is reflected.
pub(crate) fn translate(image: &RgbPlanes, dx: i32, dy: i32, out: &mut RgbPlanes) {
    out.reshape(image.width, image.height);
    let width = image.width;
    let planes = image.pixels.chunks_exact(width * image.height);
    for (plane, out) in planes.zip(out.pixels.chunks_exact_mut(width * image.height)) {
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let row = &plane[reflect(y as i32 - dy, image.height) * width..][..width];
            for (x, out) in out.iter_mut().enumerate() {
                *out = row[reflect(x as i32 - dx, width)];
            }
        }
    }
}

/// Returns the pixel of a row of `length` at position `at`, for a row that is continued by reflection without
/// repeating its ends.
pub(crate) fn reflect(at: i32, length: usize) -> usize {
    let last = length as i32 - 1;
    if last == 0 {
        return 0;
    }
    let at = at.rem_euclid(2 * last);
    at.min(2 * last - at) as usize
}

/// Copies a rectangle.
pub(crate) fn crop(image: &RgbPlanes, crop: Crop, out: &mut RgbPlanes) {
    out.reshape(crop.width as usize, crop.height as usize);
    let planes = image.pixels.chunks_exact(image.width * image.height);
    for (plane, out) in planes.zip(out.pixels.chunks_exact_mut(out.width * out.height)) {
        let rows = plane.chunks_exact(image.width).skip(crop.top as usize);
        for (row, out) in rows.zip(out.chunks_exact_mut(crop.width as usize)) {
            out.copy_from_slice(&row[crop.left as usize..][..crop.width as usize]);
        }
    }
}

/// Mirrors all rows of `width` values.
pub(crate) fn mirror<T>(values: &mut [T], width: usize) {
    values.chunks_exact_mut(width).for_each(<[T]>::reverse);
}

#[cfg(test)]
mod tests {
    use super::reflect;

    #[test]
    fn reflection_does_not_repeat_the_edge() {
        let seen: Vec<_> = (-4..8).map(|at| reflect(at, 4)).collect();
        assert_eq!(seen, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
    }
}
