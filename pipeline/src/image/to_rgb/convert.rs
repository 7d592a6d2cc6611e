//! Converts luma and chroma of the same size to colours, with the best instruction set.

#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{
    block::{LANES, each_block, each_in_place, padded},
    portable::{quads, rgb},
};
use crate::cpu::{Cpu, versions};

/// Converts two columns of two rows at a time, from chroma that is already interpolated between columns.
///
/// Each chroma row belongs to two pixels in either column. This function interpolates between rows.
pub(super) fn convert_quads(
    cpu: Cpu,
    luma: [&[u8]; 2],
    blue: [&[i16]; 2],
    red: [&[i16]; 2],
    out: [&mut [u8]; 3],
) {
    match cpu {
        Cpu::Portable => each_block(luma, blue, red, out, quads),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => x86::convert_quads(cpu, luma, blue, red, out),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => x86::convert_quads(cpu.avx2(), luma, blue, red, out),
    }
}

versions! {
    /// Converts two columns of pixels, each with its own chroma.
    pub(super) fn convert_columns(luma: [&[u8]; 2], blue: [&[u8]; 2], red: [&[u8]; 2], out: [&mut [u8]; 3]) {
        let [out_red, out_green, out_blue] = out;
        let out = out_red
            .chunks_mut(2 * LANES)
            .zip(out_green.chunks_mut(2 * LANES))
            .zip(out_blue.chunks_mut(2 * LANES));
        for (number, ((red_out, green_out), blue_out)) in out.enumerate() {
            let (at, rows) = (number * LANES, red_out.len() / 2);
            let block = |column: &[u8]| padded(&column[at..][..rows], &mut [0; LANES]).map(i16::from);
            let colours = [0, 1].map(|i| {
                rgb(
                    &block(luma[i]),
                    &block(blue[i]).map(|value| value - 128),
                    &block(red[i]).map(|value| value - 128),
                )
            });
            for (colour, out) in [red_out, green_out, blue_out].into_iter().enumerate() {
                for (i, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    *out = [colours[0][colour][i], colours[1][colour][i]];
                }
            }
        }
    }
}

/// Replaces luma and chroma of the same size by red, green and blue.
pub(crate) fn convert_in_place(cpu: Cpu, luma: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
    match cpu {
        Cpu::Portable => each_in_place(luma, blue, red, |luma, blue, red| {
            let chroma = |values: &[u8; LANES]| values.map(|value| i16::from(value) - 128);
            rgb(&luma.map(i16::from), &chroma(blue), &chroma(red))
        }),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => x86::convert_in_place(cpu, luma, blue, red),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => x86::convert_in_place(cpu.avx2(), luma, blue, red),
    }
}
