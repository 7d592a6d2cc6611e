//! The orientation in EXIF data.

use super::orientation::Orientation;

/// The prefix of EXIF data in a JPEG; other formats sometimes contain it too, even repeatedly.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";

const ORIENTATION: u16 = 0x0112;

/// The orientation according to EXIF data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExifOrientation {
    /// The data have no tag for it.
    Absent,
    /// The data have a tag, or are unreadable; other sources of an orientation are not consulted.
    Present(Orientation),
}

/// Reads the orientation from EXIF data, as Pillow does.
pub(super) fn orientation_of(mut exif: &[u8]) -> ExifOrientation {
    while let Some(rest) = exif.strip_prefix(PREFIX) {
        exif = rest;
    }
    if exif.is_empty() {
        return ExifOrientation::Absent;
    }
    let Some(tiff) = Tiff::new(exif) else { return ExifOrientation::Present(Orientation::Upright) };
    match tiff.orientation() {
        None => ExifOrientation::Absent,
        Some(entry) => ExifOrientation::Present(tiff.value(entry).and_then(orientation).unwrap_or_default()),
    }
}

fn orientation(value: f64) -> Option<Orientation> {
    if value.fract() == 0.0 && value > 0.0 { Orientation::from_exif(value as u32) } else { None }
}

/// EXIF's container: a TIFF of either byte order.
struct Tiff<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

/// A tag's type, and the bytes of its values.
#[derive(Clone, Copy)]
struct Entry<'a> {
    kind: u16,
    data: &'a [u8],
}

impl<'a> Tiff<'a> {
    /// Reads the header; `None` if it is invalid. Of `BigTIFF`, only the big-endian header is accepted, and
    /// then contains no orientation.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_little = match bytes.get(..8)?.first_chunk()? {
            b"II*\0" | b"II\0*" => true,
            b"MM\0*" | b"MM*\0" | b"MM\0+" => false,
            _ => return None,
        };
        Some(Self { bytes, is_little })
    }

    /// Finds the last orientation in the first directory, which ends early if values lie outside of the data.
    fn orientation(&self) -> Option<Entry<'a>> {
        let directory = self.u32(self.bytes.get(4..)?)? as usize;
        let count = usize::from(self.u16(self.bytes.get(directory..)?)?);
        let entries = self.bytes.get(directory + 2..)?.as_chunks::<12>().0;
        let mut found = None;
        for entry in entries.iter().take(count) {
            let kind = self.u16(&entry[2..])?;
            let Some(unit) = size_of(kind) else { continue };
            let length = u64::from(self.u32(&entry[4..])?) * unit;
            let data = if length <= 4 { entry.get(8..8 + length as usize) } else { self.far(entry, length) };
            match data {
                None => break,
                Some([]) => {}
                Some(data) if self.u16(entry)? == ORIENTATION => found = Some(Entry { kind, data }),
                Some(_) => {}
            }
        }
        found
    }

    /// Returns the bytes that an entry points to.
    fn far(&self, entry: &[u8; 12], length: u64) -> Option<&'a [u8]> {
        let start = self.u32(&entry[8..])? as usize;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }

    /// Returns the first value, if it is a number.
    fn value(&self, Entry { kind, data }: Entry) -> Option<f64> {
        Some(match kind {
            3 => self.u16(data)?.into(),
            4 | 13 => self.u32(data)?.into(),
            5 => f64::from(self.u32(data)?) / f64::from(self.u32(data.get(4..)?)?),
            6 => f64::from(*data.first()? as i8),
            8 => f64::from(self.u16(data)? as i16),
            9 => f64::from(self.u32(data)? as i32),
            10 => f64::from(self.u32(data)? as i32) / f64::from(self.u32(data.get(4..)?)? as i32),
            11 => f32::from_bits(self.u32(data)?).into(),
            12 => f64::from_bits(self.u64(data)?),
            16 => self.u64(data)? as f64,
            _ => return None, // bytes and text
        })
    }

    fn u16(&self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(&self, bytes: &[u8]) -> Option<u64> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }
}

/// Returns the bytes of a value of this type; `None` for unknown types.
fn size_of(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a big-endian directory with one entry.
    fn exif(kind: u16, count: u32, value: [u8; 4]) -> Vec<u8> {
        let mut bytes = b"MM\0*\0\0\0\x08\0\x01\x01\x12".to_vec();
        bytes.extend(kind.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(value);
        bytes
    }

    #[test]
    fn the_first_of_several_values_counts_after_any_number_of_prefixes() {
        let turned = ExifOrientation::Present(Orientation::TurnedLeft);
        let two = exif(3, 2, [0, 6, 0, 3]);
        assert_eq!(orientation_of(&two), turned);
        assert_eq!(orientation_of(&[PREFIX, PREFIX, &two].concat()), turned);
    }

    #[test]
    fn data_cut_short_have_no_orientation_or_are_upright() {
        let good = exif(3, 1, [0, 6, 0, 0]);
        for length in 0..good.len() {
            let expected = match length {
                1..8 => ExifOrientation::Present(Orientation::Upright), // the header is incomplete
                _ => ExifOrientation::Absent,
            };
            assert_eq!(orientation_of(&good[..length]), expected, "{length} bytes");
        }
    }
}
