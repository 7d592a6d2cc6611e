//! Converts images one pair of columns at a time.

use super::{
    columns::{between_columns, fill_column},
    convert::{convert_columns, convert_quads},
};
use crate::{
    Cpu,
    image::ycc::{Sampling, YccPlanes},
};

/// Converts an image one pair of columns at a time, reusing its memory.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    cpu: Cpu,
    sampling: Option<Sampling>,
    top: usize,
    rows: usize,
    /// Chroma between columns, times four, with a row above and one below: blue of the first and of the
    /// second column, then red.
    between: [Vec<i16>; 4],
    /// Whole columns of chroma: blue of the first and of the second column, then red.
    whole: [Vec<u8>; 4],
}

impl Converter {
    /// Makes a converter that uses this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Begins another image, of which `rows` rows from `top` on are converted. `top` must be even.
    pub(crate) fn start(&mut self, sampling: Sampling, top: usize, rows: usize) {
        self.sampling = Some(sampling);
        (self.top, self.rows) = (top, rows.next_multiple_of(2));
        self.between.iter_mut().for_each(|column| column.resize(self.rows / 2 + 2, 0));
        self.whole.iter_mut().for_each(|column| column.resize(self.rows, 128));
        if sampling == Sampling::Gray {
            self.whole.iter_mut().for_each(|column| column.fill(128));
        }
    }

    /// Converts columns `x`, which must be even, and `x + 1` into pairs of bytes.
    pub(crate) fn convert(&mut self, planes: &YccPlanes, x: usize, out: [&mut [u8]; 3]) {
        let sampling = self.sampling.expect("the converter was started");
        // Blocks are even in both directions, so that the last pixels of an odd image have neighbours in
        // memory.
        let luma = [x, x + 1].map(|x| planes.column(0, x, self.top..self.top + self.rows));
        if sampling == Sampling::Gray {
            let [blue, blue_2, red, red_2] = &self.whole;
            return convert_columns(self.cpu, luma, [blue, blue_2], [red, red_2], out);
        }
        if sampling == Sampling::Full {
            let rows = self.top..self.top + self.rows;
            let [blue, red] = [1, 2].map(|number| [x, x + 1].map(|x| planes.column(number, x, rows.clone())));
            return convert_columns(self.cpu, luma, blue, red, out);
        }
        let has_triangles = planes.size(1).0 > 2; // libjpeg repeats narrower chroma
        if sampling == Sampling::Quarter && has_triangles {
            return self.convert_quarter(planes, x, luma, out);
        }
        for (number, column) in self.whole.iter_mut().enumerate() {
            fill_column(self.cpu, planes, 1 + number / 2, sampling, (x + number % 2, self.top), column);
        }
        let [blue, blue_2, red, red_2] = &self.whole;
        convert_columns(self.cpu, luma, [blue, blue_2], [red, red_2], out);
    }

    fn convert_quarter(&mut self, planes: &YccPlanes, x: usize, luma: [&[u8]; 2], out: [&mut [u8]; 3]) {
        for (component, between) in [1, 2].into_iter().zip(self.between.chunks_exact_mut(2)) {
            let [first, second] = between else { unreachable!("chunks of two") };
            let (width, height) = planes.size(component);
            let (near, top) = (x / 2, self.top / 2);
            // One row above and one below, if they exist.
            let rows = top.saturating_sub(1)..(top + first.len() - 1).min(height);
            let (before, after) = (usize::from(top == 0), top + first.len() - 1 - rows.end);
            let column = |x: usize| planes.column(component, x, rows.clone());
            let [left, near, right] = [near.saturating_sub(1), near, (near + 1).min(width - 1)].map(column);
            let end = first.len() - after;
            let (a, b) = (&mut first[before..end], &mut second[before..end]);
            between_columns(self.cpu, near, left, right, a, b);
            for between in [first, second] {
                between[0] = between[before];
                let last = between[end - 1];
                between[end..].fill(last);
            }
        }
        let [blue, blue_2, red, red_2] = &self.between;
        convert_quads(self.cpu, luma, [blue, blue_2], [red, red_2], out);
    }
}
