//! Interpolation of chroma columns.

use crate::{
    cpu::{Cpu, versions},
    image::ycc::{Sampling, YccPlanes},
};

versions! {
    /// Adds three parts of `near` to one of the column on either side.
    pub(super) fn between_columns(near: &[u8], left: &[u8], right: &[u8], first: &mut [i16], second: &mut [i16]) {
        let columns = near.iter().zip(left).zip(right);
        for (((&near, &left), &right), (first, second)) in columns.zip(first.iter_mut().zip(second)) {
            let near = 3 * i16::from(near);
            (*first, *second) = (near + i16::from(left), near + i16::from(right));
        }
    }
}

/// Interpolates a column of chroma to one value per pixel, from row `top` on, which must be even.
pub(super) fn fill_column(
    cpu: Cpu,
    planes: &YccPlanes,
    component: usize,
    sampling: Sampling,
    (x, top): (usize, usize),
    out: &mut [u8],
) {
    let (across, down) = sampling.factors();
    let (width, height) = planes.size(component);
    let is_smooth = width > 2 || across == 1;
    let near_x = (x / across).min(width - 1);
    // The neighbour on the pixel's side; at the edge the sample itself.
    let far_x = match (is_smooth, across, x % 2) {
        (true, 2, 0) => near_x.saturating_sub(1),
        (true, 2, _) => (near_x + 1).min(width - 1),
        _ => near_x,
    };
    let (first, last) = ((top / down).saturating_sub(down - 1), (top + out.len() - 1) / down + down - 1);
    let rows = first..(last + 1).min(height);
    let [near, far] = [near_x, far_x].map(|x| planes.column(component, x, rows.clone()));
    if (across, down) == (2, 1) {
        return mix_columns(cpu, near, far, 1 + (x % 2) as u16, out);
    }
    let value =
        |column: &[u8], row: usize| u16::from(column[row.clamp(rows.start, rows.end - 1) - rows.start]);
    for (i, out) in out.iter_mut().enumerate() {
        let y = top + i;
        let row = y / down;
        let far_row = match (is_smooth, down, y % 2) {
            (true, 2, 0) => row.saturating_sub(1),
            (true, 2, _) => (row + 1).min(height - 1),
            _ => row,
        };
        let odd = |at: usize| (at % 2) as u16;
        let sum = 3 * value(near, row) + value(far, row);
        *out = match (across, down) {
            (2, 2) => (3 * sum + 3 * value(near, far_row) + value(far, far_row) + 8 - odd(x)) >> 4,
            (_, 2) => (3 * value(near, row) + value(near, far_row) + 1 + odd(y)) >> 2,
            _ => value(near, row),
        } as u8;
    }
}

versions! {
    /// Mixes three parts of `near` with one of `far`.
    fn mix_columns(near: &[u8], far: &[u8], round: u16, out: &mut [u8]) {
        for ((&near, &far), out) in near.iter().zip(far).zip(out) {
            *out = ((3 * u16::from(near) + u16::from(far) + round) >> 2) as u8;
        }
    }
}
