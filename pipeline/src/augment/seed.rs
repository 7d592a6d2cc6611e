//! Exemplar-CNN's choice of seeds: by the squared gradient of the luma.

use super::color::gray;
use crate::{
    cpu::{Cpu, versions},
    image::RgbPlanes,
};

/// Finds the places of seeds, reusing its memory.
#[derive(Debug, Default)]
pub(crate) struct SeedFinder {
    cpu: Cpu,
    luma: Vec<u8>,
    /// The squared gradient at each pixel.
    energy: Vec<u32>,
    /// The sum of `energy` over the rows of a seed, for each column.
    columns: Vec<u64>,
}

impl SeedFinder {
    /// Makes a finder that uses this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Returns the left and the upper edge of the square of `side` pixels at the quantile `place` (0 to 1) of
    /// all such squares, row by row, each of which counts as the squared gradients within it. In an image
    /// without gradients all count the same.
    ///
    /// # Panics
    /// If no square of that side fits into the image.
    pub(crate) fn find(&mut self, image: &RgbPlanes, side: usize, place: f64) -> (usize, usize) {
        let (width, height) = (image.width, image.height);
        assert!((1..=width.min(height)).contains(&side), "a square of {side} pixels fits into the image");
        self.measure(image);
        let (across, down) = (width - side + 1, height - side + 1);
        let total = self.total(width, side, (across, down));
        if total == 0 {
            let at = ((place * (across * down) as f64) as usize).min(across * down - 1);
            return (at % across, at / across);
        }
        self.search(width, side, ((place * total as f64) as u64).min(total - 1))
    }

    /// Computes the squared gradient at each pixel.
    fn measure(&mut self, image: &RgbPlanes) {
        let (width, height) = (image.width, image.height);
        let size = width * height;
        self.luma.resize(size, 0);
        self.energy.resize(size, 0);
        let (red, rest) = image.pixels.split_at(size);
        let (green, blue) = rest.split_at(size);
        grays(self.cpu, red, green, blue, &mut self.luma);
        for (y, out) in self.energy.chunks_exact_mut(width).enumerate() {
            let row = |y: usize| &self.luma[y * width..][..width];
            let (above, below) = (row(y.saturating_sub(1)), row((y + 1).min(height - 1)));
            gradients(self.cpu, row(y), above, below, out);
        }
    }

    /// Returns the sum of the squared gradients of all squares: each pixel counts once for each square that
    /// contains it.
    fn total(&self, width: usize, side: usize, (across, down): (usize, usize)) -> u64 {
        let count =
            |at: usize, places: usize| (at.min(places - 1) + 1 - (at + 1).saturating_sub(side)) as u64;
        let rows = self.energy.chunks_exact(width).enumerate();
        let row = |energy: &[u32]| -> u64 {
            energy.iter().enumerate().map(|(x, &energy)| u64::from(energy) * count(x, across)).sum()
        };
        rows.map(|(y, energy)| row(energy) * count(y, down)).sum()
    }

    /// Returns the square in which the running sum exceeds `target`.
    fn search(&mut self, width: usize, side: usize, mut target: u64) -> (usize, usize) {
        self.columns.clear();
        self.columns.resize(width, 0);
        for (y, row) in self.energy.chunks_exact(width).enumerate() {
            add(self.cpu, &mut self.columns, row);
            let Some(top) = (y + 1).checked_sub(side) else { continue };
            let mut sum: u64 = self.columns[..side - 1].iter().sum();
            for (left, right) in (side - 1..width).enumerate() {
                sum += self.columns[right];
                match target.checked_sub(sum) {
                    Some(rest) => target = rest,
                    None => return (left, top),
                }
                sum -= self.columns[left];
            }
            subtract(self.cpu, &mut self.columns, &self.energy[top * width..][..width]);
        }
        unreachable!("the target is below the sum of all squares")
    }
}

versions! {
    fn grays(red: &[u8], green: &[u8], blue: &[u8], out: &mut [u8]) {
        for (((out, &red), &green), &blue) in out.iter_mut().zip(red).zip(green).zip(blue) {
            *out = gray(red, green, blue);
        }
    }

    /// Computes the squares of differences across two pixels, at the edges across one.
    fn gradients(row: &[u8], above: &[u8], below: &[u8], out: &mut [u32]) {
        let last = row.len() - 1;
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        for (out, (&above, &below)) in out.iter_mut().zip(above.iter().zip(below)) {
            *out = square(above, below);
        }
        out[0] += square(row[0], row[last.min(1)]);
        if last > 0 {
            out[last] += square(row[last - 1], row[last]);
            for (out, (&before, &after)) in out[1..last].iter_mut().zip(row.iter().zip(&row[2..])) {
                *out += square(before, after);
            }
        }
    }

    fn add(sums: &mut [u64], values: &[u32]) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += u64::from(value);
        }
    }

    fn subtract(sums: &mut [u64], values: &[u32]) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum -= u64::from(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a flat image with a bright square of 8 pixels.
    fn square(left: usize, top: usize) -> RgbPlanes {
        let mut image = RgbPlanes::default();
        image.reshape(50, 40);
        for (at, value) in image.pixels.iter_mut().enumerate() {
            let (x, y) = (at % 50, at / 50 % 40);
            *value = if (left..left + 8).contains(&x) && (top..top + 8).contains(&y) { 200 } else { 40 };
        }
        image
    }

    #[test]
    fn places_are_as_frequent_as_the_squared_gradients_within_them() {
        let image = square(20, 15);
        let mut finder = SeedFinder::default();
        let side = 12;
        let mut counts = std::collections::BTreeMap::<(usize, usize), f64>::new();
        let draws = 40_000;
        for draw in 0..draws {
            *counts.entry(finder.find(&image, side, f64::from(draw) / f64::from(draws))).or_default() += 1.0;
        }
        let sum = |(left, top): (usize, usize)| -> f64 {
            let rows = finder.energy.chunks_exact(50).skip(top).take(side);
            rows.flat_map(|row| &row[left..left + side]).map(|energy| f64::from(*energy)).sum()
        };
        let places: Vec<_> = (0..29).flat_map(|top| (0..39).map(move |left| (left, top))).collect();
        let total: f64 = places.iter().map(|place| sum(*place)).sum();
        for place in places {
            let expected = sum(place) / total * f64::from(draws);
            let count = counts.get(&place).copied().unwrap_or_default();
            assert!((count - expected).abs() <= 1.0, "{place:?}: {count}, not {expected}");
        }
    }

    #[test]
    fn in_a_flat_image_all_places_are_equally_frequent() {
        let mut image = RgbPlanes::default();
        image.reshape(5, 4);
        let mut finder = SeedFinder::default();
        let found: Vec<_> = (0..6).map(|at| finder.find(&image, 3, f64::from(at) / 6.0 + 0.01)).collect();
        assert_eq!(found, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]);
        assert_eq!(finder.find(&image, 4, 0.999), (1, 0));
    }
}
