//! The JPEG decoder compared with libjpeg-turbo: accepted files have the same samples, and damaged ones are
//! refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod forge;
mod judge;
mod refused;
mod tolerated;

use forge::Forge;
use pipeline::{
    Rgb,
    jpeg::{Region, Sampling},
};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const SAMPLINGS: [Sampling; 5] =
    [Sampling::Gray, Sampling::Full, Sampling::HalfWidth, Sampling::HalfHeight, Sampling::Quarter];

/// A generator of pseudorandom numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Draws a number from -`limit` to `limit`.
    fn value(&mut self, limit: i16) -> i16 {
        self.below(2 * limit as usize + 1) as i16 - limit
    }

    /// Draws a region, often at an edge or as small as possible.
    fn region(&mut self, width: u32, height: u32) -> Region {
        let mut axis = |size: u32| {
            let (a, b) = (self.below(size as usize) as u32, self.below(size as usize) as u32);
            let (from, last) = (a.min(b), a.max(b));
            match self.below(6) {
                0 => (0, last + 1),
                1 => (from, size - from),
                2 => (last, 1),
                _ => (from, last - from + 1),
            }
        };
        let ((left, width), (top, height)) = (axis(width), axis(height));
        Region { left, top, width, height }
    }

    /// Makes a file of random coefficients, of which at most `most` in a block are not zero.
    fn file(&mut self, forge: &Forge, most: usize) -> Vec<u8> {
        let scan = forge.scan(|block| {
            block[0] = self.value(2_047);
            for _ in 0..self.below(most + 1) {
                block[1 + self.below(63)] = self.value(1_023);
            }
        });
        forge.file(&scan)
    }
}

/// Checks a file that must be accepted.
fn accept(bytes: &[u8], random: &mut Random) {
    let is_accepted = judge::judge(bytes, u32::MAX, |width, height| random.region(width, height));
    assert!(is_accepted, "a valid file is refused");
}

fn noise(width: u32, height: u32, random: &mut Random) -> Rgb {
    let mut image = Rgb::black(width, height);
    image.pixels.fill_with(|| random.next() as u8);
    image
}

/// Encodes a JPEG with libjpeg-turbo.
fn encoded(
    image: &Rgb,
    sampling: Sampling,
    set: impl FnOnce(&mut Compressor) -> turbojpeg::Result<()>,
) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_subsamp(subsamp(sampling)).unwrap();
    set(&mut compressor).unwrap();
    let (width, height) = (image.width as usize, image.height as usize);
    let pixels = &image.pixels[..];
    let format = PixelFormat::RGB;
    compressor.compress_to_vec(Image { pixels, width, pitch: 3 * width, height, format }).unwrap()
}

fn subsamp(sampling: Sampling) -> Subsamp {
    match sampling {
        Sampling::Gray => Subsamp::Gray,
        Sampling::Full => Subsamp::None,
        Sampling::HalfWidth => Subsamp::Sub2x1,
        Sampling::HalfHeight => Subsamp::Sub1x2,
        Sampling::Quarter => Subsamp::Sub2x2,
    }
}

/// Finds the first segment with this marker, which must not occur in the data of an earlier segment.
fn find(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|pair| pair == [0xFF, marker]).expect("the file has such a segment")
}

/// Returns the file with a segment before all others.
fn with_segment(file: &[u8], marker: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 2).to_be_bytes();
    [&file[..2], &[0xFF, marker], &length, data, &file[2..]].concat()
}
