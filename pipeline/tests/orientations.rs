//! Orientations of images, given in every form that Pillow understands and in some that it does not.
//!
//! `data/orientations.py` makes the files and asks Pillow 12.3.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use pipeline::{Decoder, Orientation, Rgb};

const FILES: &str = include_str!("data/orientations.tsv");

#[test]
fn images_have_the_orientation_that_pillow_finds() {
    let mut decoder = Decoder::new(100);
    let mut image = Rgb::default();
    let mut differing = Vec::new();
    let mut turned = 0;
    for line in FILES.lines() {
        let [name, value, file] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = from_base64(file);
        let expected = Orientation::from_exif(value.parse().unwrap()).unwrap();
        let header = decoder.header(&bytes).unwrap();
        decoder.decode(&bytes, &mut image).unwrap();
        assert_eq!(header.upright(), (image.width, image.height), "{name}");
        if header.orientation != expected {
            differing.push(format!("{name}: {:?}, Pillow {expected:?}", header.orientation));
        }
        turned += usize::from(expected != Orientation::Upright);
    }
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(FILES.lines().count() > 350 && turned > 100, "{turned} of {}", FILES.lines().count());
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte).unwrap() as u32;
    let groups = text.trim_end_matches('=').as_bytes().chunks(4);
    groups
        .flat_map(|group| {
            let bits = group.iter().enumerate().fold(0, |bits, (i, byte)| bits | digit(byte) << (18 - 6 * i));
            bits.to_be_bytes()[1..group.len()].to_vec()
        })
        .collect()
}
