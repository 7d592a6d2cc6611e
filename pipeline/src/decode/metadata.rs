//! The metadata from which a file's orientation comes.

use std::borrow::Cow;

use super::{
    exif::{self, ExifOrientation},
    orientation::Orientation,
};

/// EXIF and XMP of a file, if it has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Metadata<'a> {
    pub(super) exif: Option<Cow<'a, [u8]>>,
    pub(super) xmp: Option<Cow<'a, [u8]>>,
}

impl Metadata<'_> {
    /// Returns the orientation that Pillow finds: that of EXIF, or of XMP if EXIF has no tag for it.
    pub(super) fn orientation(&self) -> Orientation {
        match self.exif.as_deref().map_or(ExifOrientation::Absent, exif::orientation_of) {
            ExifOrientation::Present(orientation) => orientation,
            ExifOrientation::Absent => self.xmp.as_deref().and_then(of_xmp).unwrap_or_default(),
        }
    }
}

/// Reads the first digit after `tiff:Orientation`, as an attribute or an element.
fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let digit = |at: usize| match xmp[at + NAME.len()..] {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => Some(digit - b'0'),
        _ => None,
    };
    memchr::memmem::find_iter(xmp, NAME)
        .find_map(digit)
        .and_then(|digit| Orientation::from_exif(digit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digit_in_xmp_counts() {
        for (xmp, value) in [
            ("<d tiff:Orientation=\"6\"/>", 6),
            ("<tiff:Orientation>8</tiff:Orientation>", 8),
            ("tiff:Orientation='6'", 1),
            ("tiff:Orientation=\"\" tiff:Orientation=\"3\" tiff:Orientation=\"6\"", 3),
            ("tiff:Orientation=\"9\" tiff:Orientation=\"6\"", 1),
            ("tiff:Orientation=\"62\"", 6),
            ("Orientation=\"6\"", 1),
            ("tiff:Orientation", 1),
        ] {
            let metadata = Metadata { xmp: Some(Cow::Borrowed(xmp.as_bytes())), exif: None };
            assert_eq!(Some(metadata.orientation()), Orientation::from_exif(value), "{xmp}");
        }
    }
}
