//! Bytes of rows ↔ bytes of columns.

/// Blocks of 8×8 bytes turned at once, side by side in vector registers.
const BLOCKS: usize = 4;

/// Columns that [`transpose`] turns at once: buffers are padded to a multiple of it.
pub(crate) const COLUMNS: usize = 8 * BLOCKS;

/// Turns 8 rows into columns: byte `c` of row `r` becomes byte `r` of `columns[c · pitch ..]`.
///
/// Rows may be shorter than a multiple of [`COLUMNS`]; the missing bytes count as 0 and their columns are written.
#[inline(always)]
pub(crate) fn transpose(rows: [&[u8]; 8], columns: &mut [u8], pitch: usize) {
    for (i, columns) in columns.chunks_mut(COLUMNS * pitch).enumerate() {
        let mut words = [[0; BLOCKS]; 8];
        for (words, row) in words.iter_mut().zip(rows) {
            load(row, i * COLUMNS, words);
        }
        turn(&mut words);
        for block in 0..BLOCKS {
            for (byte, word) in words.iter().enumerate() {
                let at = (block * 8 + byte) * pitch;
                columns[at..at + 8].copy_from_slice(&word[block].to_le_bytes());
            }
        }
    }
}

#[inline(always)]
fn load(row: &[u8], at: usize, words: &mut [u64; BLOCKS]) {
    let mut padded = [0; COLUMNS];
    let bytes = if let Some(bytes) = row.get(at..at + COLUMNS) {
        bytes
    } else {
        let rest = row.get(at..).unwrap_or(&[]);
        padded[..rest.len()].copy_from_slice(rest);
        &padded
    };
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
}

/// Turns 8×8 bytes by swapping ever larger squares across the diagonal.
#[inline(always)]
fn turn(words: &mut [[u64; BLOCKS]; 8]) {
    swap::<1>(words, 8, 0x00FF_00FF_00FF_00FF);
    swap::<2>(words, 16, 0x0000_FFFF_0000_FFFF);
    swap::<4>(words, 32, 0x0000_0000_FFFF_FFFF);
}

#[inline(always)]
fn swap<const SPAN: usize>(words: &mut [[u64; BLOCKS]; 8], bits: u32, mask: u64) {
    for upper in 0..8 {
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

    #[test]
    fn rows_become_columns_also_where_they_are_short() {
        let rows: [Vec<u8>; 8] =
            std::array::from_fn(|row| (0..43).map(|column| (row * 43 + column) as u8).collect());
        let mut columns = vec![0xEE; 2 * COLUMNS * 9];
        transpose(rows.each_ref().map(|row| &row[..]), &mut columns, 9);
        for (column, bytes) in columns.chunks(9).enumerate() {
            let expected: Vec<u8> = rows.iter().map(|row| row.get(column).copied().unwrap_or(0)).collect();
            assert_eq!(bytes[..8], expected);
            assert_eq!(bytes[8], 0xEE);
        }
    }
}
