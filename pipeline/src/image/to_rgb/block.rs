//! Blocks of pixels that are converted side by side.

/// The number of chroma rows that are converted side by side.
pub(super) const LANES: usize = 16;

/// The input of one conversion: luma of two columns with twice as many pixels, and chroma between columns,
/// with one row above and one below.
pub(super) struct Block<'a> {
    pub(super) luma: [&'a [u8; 2 * LANES]; 2],
    pub(super) blue: [&'a [i16; LANES + 2]; 2],
    pub(super) red: [&'a [i16; LANES + 2]; 2],
}

#[inline(always)]
pub(super) fn each_block(
    luma: [&[u8]; 2],
    blue: [&[i16]; 2],
    red: [&[i16]; 2],
    out: [&mut [u8]; 3],
    convert: impl Fn(&Block) -> [[u8; 4 * LANES]; 3],
) {
    let rows = out[0].len() / 4;
    let [out_red, out_green, out_blue] = out;
    for at in (0..rows).step_by(LANES) {
        let count = LANES.min(rows - at);
        let (mut a, mut b) = ([[0; 2 * LANES]; 2], [[0; LANES + 2]; 4]);
        let ([a0, a1], [b0, b1, b2, b3]) = (&mut a, &mut b);
        let (pixels, samples) = (2 * at..2 * (at + count), at..at + count + 2);
        let block = Block {
            luma: [padded(&luma[0][pixels.clone()], a0), padded(&luma[1][pixels], a1)],
            blue: [padded(&blue[0][samples.clone()], b0), padded(&blue[1][samples.clone()], b1)],
            red: [padded(&red[0][samples.clone()], b2), padded(&red[1][samples], b3)],
        };
        let colours = convert(&block);
        for (colour, out) in colours.iter().zip([&mut *out_red, &mut *out_green, &mut *out_blue]) {
            store(colour, &mut out[4 * at..4 * (at + count)]);
        }
    }
}

#[inline(always)]
pub(super) fn each_in_place(
    luma: &mut [u8],
    blue: &mut [u8],
    red: &mut [u8],
    convert: impl Fn(&[u8; LANES], &[u8; LANES], &[u8; LANES]) -> [[u8; LANES]; 3],
) {
    let blocks = luma.chunks_mut(LANES).zip(blue.chunks_mut(LANES)).zip(red.chunks_mut(LANES));
    for ((luma, blue), red) in blocks {
        let (mut a, mut b, mut c) = ([0; LANES], [0; LANES], [0; LANES]);
        let colours = convert(padded(luma, &mut a), padded(blue, &mut b), padded(red, &mut c));
        for (out, values) in [luma, blue, red].into_iter().zip(colours) {
            store(&values, out);
        }
    }
}

/// Returns the values of a block, padded with zeros in `room` if there are fewer.
#[inline(always)]
pub(super) fn padded<'a, T: Copy, const N: usize>(values: &'a [T], room: &'a mut [T; N]) -> &'a [T; N] {
    if let Some(values) = values.first_chunk() {
        return values;
    }
    room[..values.len()].copy_from_slice(values);
    room
}

/// Writes the values of a block, or as many of them as there is room for.
#[inline(always)]
pub(super) fn store<const N: usize>(values: &[u8; N], out: &mut [u8]) {
    match out.first_chunk_mut() {
        Some(out) => *out = *values,
        None => out.copy_from_slice(&values[..out.len()]),
    }
}
