//! The one thing of interest in EXIF data.

use super::Orientation;

/// Begins EXIF data in a JPEG; sometimes found in other formats as well.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";

const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// The orientation that EXIF data tells; upright where it tells none or is damaged.
pub(super) fn orientation(mut exif: &[u8]) -> Orientation {
    while let Some(rest) = exif.strip_prefix(PREFIX) {
        exif = rest;
    }
    value(exif).and_then(Orientation::from_exif).unwrap_or_default()
}

/// The value of the orientation tag in the first directory.
fn value(exif: &[u8]) -> Option<u32> {
    let tiff = match exif.first_chunk()? {
        b"II*\0" => Tiff { bytes: exif, is_little: true },
        b"MM\0*" => Tiff { bytes: exif, is_little: false },
        _ => return None,
    };
    let directory = tiff.u32(4)? as usize;
    let entries = usize::from(tiff.u16(directory)?);
    let entries = (0..entries).map(|entry| directory + 2 + 12 * entry);
    // Of several the last counts, as in Pillow.
    entries.take_while(|&at| at + 12 <= exif.len()).filter_map(|at| tiff.orientation(at)).last()
}

/// Numbers of either byte order.
struct Tiff<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl Tiff<'_> {
    /// The value of the entry at `at`, if it is an orientation.
    fn orientation(&self, at: usize) -> Option<u32> {
        match (self.u16(at)?, self.u16(at + 2)?, self.u32(at + 4)?) {
            (ORIENTATION, SHORT, 1) => Some(self.u16(at + 8)?.into()),
            (ORIENTATION, LONG, 1) => self.u32(at + 8),
            _ => None,
        }
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A big-endian directory with one entry.
    fn exif(tag: u16, kind: u16, count: u32, value: [u8; 4]) -> Vec<u8> {
        let mut bytes = b"MM\0*\0\0\0\x08\0\x01".to_vec();
        bytes.extend(tag.to_be_bytes());
        bytes.extend(kind.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(value);
        bytes
    }

    #[test]
    fn the_value_may_be_short_or_long_and_follow_the_prefix_of_a_jpeg() {
        assert_eq!(orientation(&exif(ORIENTATION, SHORT, 1, [0, 6, 0, 0])), Orientation::TurnedLeft);
        assert_eq!(orientation(&exif(ORIENTATION, LONG, 1, [0, 0, 0, 6])), Orientation::TurnedLeft);
        let prefixed = [PREFIX, &exif(ORIENTATION, SHORT, 1, [0, 3, 0, 0])].concat();
        assert_eq!(orientation(&prefixed), Orientation::UpsideDown);
    }

    #[test]
    fn damage_counts_as_upright() {
        let good = exif(ORIENTATION, SHORT, 1, [0, 6, 0, 0]);
        for length in 0..good.len() {
            assert_eq!(orientation(&good[..length]), Orientation::Upright, "{length} bytes");
        }
        for bad in [
            exif(ORIENTATION, SHORT, 1, [0, 9, 0, 0]),
            exif(ORIENTATION, SHORT, 1, [0, 0, 0, 0]),
            exif(ORIENTATION, SHORT, 2, [0, 6, 0, 6]),
            exif(ORIENTATION, 2, 1, [b'6', 0, 0, 0]),
            exif(ORIENTATION + 1, SHORT, 1, [0, 6, 0, 0]),
            b"MM\0*\xFF\xFF\xFF\xFF".to_vec(),
        ] {
            assert_eq!(orientation(&bad), Orientation::Upright, "{bad:x?}");
        }
    }
}
