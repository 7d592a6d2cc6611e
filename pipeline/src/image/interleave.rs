//! Conversion between interleaved colours and planes.

use crate::cpu::versions;

versions! {
    /// Interleaves three planes.
    pub(super) fn interleave(red: &[u8], green: &[u8], blue: &[u8], pixels: &mut [u8]) {
        for (((pixel, &r), &g), &b) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(red).zip(green).zip(blue) {
            *pixel = [r, g, b];
        }
    }

    /// Separates interleaved colours into three planes.
    pub(super) fn deinterleave(pixels: &[u8], red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
        for (((&[r, g, b], red), green), blue) in pixels.as_chunks().0.iter().zip(red).zip(green).zip(blue) {
            (*red, *green, *blue) = (r, g, b);
        }
    }
}
