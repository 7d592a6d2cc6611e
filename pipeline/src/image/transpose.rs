//! Transposition of byte pairs.

use crate::cpu::versions;

/// The number of pairs of a row that are transposed at a time; rows are padded to a multiple of it.
pub(crate) const PAIRS: usize = 16;
/// The number of rows that are transposed at a time; there is room for a multiple of it.
pub(crate) const ROWS: usize = 4;

versions! {
    /// Transposes rows of byte pairs to columns of byte pairs: pair `p` of row `r` becomes pair `r` of column
    /// `p`.
    ///
    /// Rows are `pitch` bytes apart, and columns `out_pitch`. Both counts are rounded up to full blocks, for
    /// which there must be room.
    pub(crate) fn transpose(rows: &[u8], pitch: usize, pairs: usize, out: &mut [u8], out_pitch: usize) {
        for (block, rows) in rows.chunks_exact(ROWS * pitch).enumerate() {
            let (a, rest) = rows.split_at(pitch);
            let (b, rest) = rest.split_at(pitch);
            let (c, d) = rest.split_at(pitch);
            for (group, out) in out.chunks_mut(PAIRS * out_pitch).take(pairs.div_ceil(PAIRS)).enumerate() {
                let at = 2 * PAIRS * group;
                let mut words = [load(&a[at..]), load(&b[at..]), load(&c[at..]), load(&d[at..])];
                swap::<1>(&mut words, 16, 0x0000_FFFF_0000_FFFF);
                swap::<2>(&mut words, 32, 0x0000_0000_FFFF_FFFF);
                for word in 0..PAIRS / 4 {
                    for (i, words) in words.iter().enumerate() {
                        let at = (4 * word + i) * out_pitch + 2 * ROWS * block;
                        out[at..at + 8].copy_from_slice(&words[word].to_le_bytes());
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn load(row: &[u8]) -> [u64; PAIRS / 4] {
    let mut words = [0; PAIRS / 4];
    for (word, bytes) in words.iter_mut().zip(row[..2 * PAIRS].as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Swaps squares across the diagonal.
#[inline(always)]
fn swap<const SPAN: usize>(words: &mut [[u64; PAIRS / 4]; ROWS], bits: u32, mask: u64) {
    for upper in 0..ROWS {
        if upper & SPAN != 0 {
            continue;
        }
        let (a, b) = words.split_at_mut(upper + SPAN);
        for (a, b) in a[upper].iter_mut().zip(&mut b[0]) {
            let swapped = ((*a >> bits) ^ *b) & mask;
            *a ^= swapped << bits;
            *b ^= swapped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn pairs_of_rows_become_pairs_of_columns() {
        let (pitch, out_pitch) = (2 * 2 * PAIRS, 2 * 3 * ROWS);
        let rows: Vec<u8> = (0..3 * ROWS * pitch).map(|at| (at * 7 % 251) as u8).collect();
        for cpu in Cpu::available() {
            let mut out = vec![0; 2 * PAIRS * out_pitch];
            transpose(cpu, &rows, pitch, PAIRS + 1, &mut out, out_pitch);
            for (row, pair) in (0..3 * ROWS).flat_map(|row| (0..2 * PAIRS).map(move |pair| (row, pair))) {
                let (from, to) = (row * pitch + 2 * pair, pair * out_pitch + 2 * row);
                assert_eq!(rows[from..from + 2], out[to..to + 2], "{cpu}, row {row}, pair {pair}");
            }
        }
    }
}
