//! The transform in plain Rust: the reference for the others, and the version for other CPUs.

use super::transform::{BITS, Idct, PAIRS, PASS_BITS, Place, Quantization, SHIFTS};
use crate::decode::jpeg::entropy::Block;

/// The transform in plain Rust, one block at a time.
#[derive(Debug, Clone, Copy)]
pub(in crate::decode::jpeg) struct Portable;

impl Idct for Portable {
    const BLOCKS: usize = 1;

    fn run(
        self,
        blocks: &[Block; 4],
        places: &[Place; 4],
        quantization: &[&Quantization; 3],
        data: &mut [u8],
    ) {
        run(&blocks[0], &places[0], quantization, data);
    }
}

/// Transforms one block.
pub(super) fn run(block: &Block, place: &Place, quantization: &[&Quantization; 3], data: &mut [u8]) {
    let Place { component, at, stride } = *place;
    let mut rows = [[0; 8]; 8];
    for ((rows, coefficients), factors) in
        rows.iter_mut().zip(block.0.as_chunks::<8>().0).zip(quantization[component].0.as_chunks::<8>().0)
    {
        *rows = std::array::from_fn(|i| coefficients[i].wrapping_mul(factors[i]));
    }
    if block.0[8..64].iter().all(|coefficient| *coefficient == 0) {
        // The result of the first pass, except for values beyond 16 bits, which are not clipped in this case.
        rows = [rows[0].map(|value| value << PASS_BITS); 8];
    } else {
        pass(&mut rows, SHIFTS[0]);
    }
    let mut columns = std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x]));
    pass(&mut columns, SHIFTS[1]);
    for (x, column) in columns.iter().enumerate() {
        let samples = column.map(|value| (value.clamp(-128, 127) + 128) as u8);
        data[at + x * stride..][..8].copy_from_slice(&samples);
    }
}

/// Transforms the eight values at each place of eight lines.
fn pass(lines: &mut [[i16; 8]; 8], shift: u32) {
    for i in 0..8 {
        let values = transform(std::array::from_fn(|line| lines[line][i]));
        for (line, value) in lines.iter_mut().zip(values) {
            let rounded = value.wrapping_add(1 << (shift - 1)) >> shift;
            line[i] = rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }
}

fn transform(v: [i16; 8]) -> [i32; 8] {
    let dot = |a: i16, b: i16, pair: usize| i32::from(a) * PAIRS[pair].0 + i32::from(b) * PAIRS[pair].1;
    let (t3, t2) = (dot(v[2], v[6], 0), dot(v[2], v[6], 1));
    let t0 = i32::from(v[0].wrapping_add(v[4])) << BITS;
    let t1 = i32::from(v[0].wrapping_sub(v[4])) << BITS;
    let even = [t0.wrapping_add(t3), t1.wrapping_add(t2), t1.wrapping_sub(t2), t0.wrapping_sub(t3)];
    let (a, b) = (v[7].wrapping_add(v[3]), v[5].wrapping_add(v[1]));
    let (z3, z4) = (dot(a, b, 2), dot(a, b, 3));
    let odd = [
        dot(v[7], v[1], 5).wrapping_add(z4),
        dot(v[5], v[3], 7).wrapping_add(z3),
        dot(v[5], v[3], 6).wrapping_add(z4),
        dot(v[7], v[1], 4).wrapping_add(z3),
    ];
    std::array::from_fn(|i| {
        if i < 4 { even[i].wrapping_add(odd[i]) } else { even[7 - i].wrapping_sub(odd[7 - i]) }
    })
}
