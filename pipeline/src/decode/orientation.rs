//! The orientation of a stored image.

use crate::Rgb;

/// The orientation of a stored image: the eight values of EXIF, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Orientation {
    /// The image is upright.
    #[default]
    Upright,
    /// Left and right are swapped.
    Mirrored,
    /// The image is turned by 180°.
    UpsideDown,
    /// Top and bottom are swapped.
    Flipped,
    /// Rows and columns are swapped.
    Transposed,
    /// The image is turned by 90° counterclockwise.
    TurnedLeft,
    /// Rows and columns are swapped, both reversed.
    Transversed,
    /// The image is turned by 90° clockwise.
    TurnedRight,
}

impl Orientation {
    /// All orientations, in the order of EXIF's values 1 to 8.
    pub const ALL: [Self; 8] = [
        Self::Upright,
        Self::Mirrored,
        Self::UpsideDown,
        Self::Flipped,
        Self::Transposed,
        Self::TurnedLeft,
        Self::Transversed,
        Self::TurnedRight,
    ];

    /// Returns the orientation of EXIF's value, if it is from 1 to 8.
    pub fn from_exif(value: u32) -> Option<Self> {
        Self::ALL.get((value as usize).checked_sub(1)?).copied()
    }

    /// Returns whether a stored row is a column of the upright image.
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Transposed | Self::TurnedLeft | Self::Transversed | Self::TurnedRight)
    }

    /// Returns whether rightward in the upright image (downward if the sides are swapped) is leftward in a
    /// stored row.
    fn reverses_rows(self) -> bool {
        matches!(self, Self::Mirrored | Self::UpsideDown | Self::Transversed | Self::TurnedRight)
    }

    /// Returns whether downward in the upright image (rightward if the sides are swapped) is upward in a
    /// stored column.
    fn reverses_columns(self) -> bool {
        matches!(self, Self::UpsideDown | Self::Flipped | Self::TurnedLeft | Self::Transversed)
    }

    /// Turns an image upright, as Pillow's `ImageOps.exif_transpose` does.
    ///
    /// `spare` is scratch memory, which may be swapped with the image's; its content is undefined afterwards.
    pub fn turn(self, image: &mut Rgb, spare: &mut Rgb) {
        if self == Self::Upright {
            return;
        }
        if self.swaps_sides() {
            spare.reshape(image.height, image.width);
            self.transpose(image, spare);
        } else {
            spare.reshape(image.width, image.height);
            self.flip(image, spare);
        }
        std::mem::swap(image, spare);
    }

    fn flip(self, image: &Rgb, upright: &mut Rgb) {
        let stride = image.stride().max(1);
        for (y, row) in upright.pixels.chunks_exact_mut(stride).enumerate() {
            let y = if self.reverses_columns() { image.height as usize - 1 - y } else { y };
            let stored = &image.pixels[y * stride..][..stride];
            if self.reverses_rows() {
                copy_pixels(stored.as_chunks().0.iter().rev(), row);
            } else {
                row.copy_from_slice(stored);
            }
        }
    }

    fn transpose(self, image: &Rgb, upright: &mut Rgb) {
        let (stored_stride, stride) = (image.stride(), upright.stride().max(1));
        for (y, row) in upright.pixels.chunks_exact_mut(stride).enumerate() {
            let x = if self.reverses_rows() { image.width as usize - 1 - y } else { y };
            let rows = image.pixels.chunks_exact(stored_stride);
            let column = rows.filter_map(|row| row[3 * x..].first_chunk());
            if self.reverses_columns() {
                copy_pixels(column.rev(), row);
            } else {
                copy_pixels(column, row);
            }
        }
    }
}

fn copy_pixels<'a>(pixels: impl Iterator<Item = &'a [u8; 3]>, row: &mut [u8]) {
    for (to, from) in row.as_chunks_mut().0.iter_mut().zip(pixels) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes an image of two rows whose pixels are named by letters.
    fn image(rows: &[&str]) -> Rgb {
        let mut image = Rgb::black(rows[0].len() as u32, rows.len() as u32);
        image.pixels = rows.concat().bytes().flat_map(|letter| [letter; 3]).collect();
        image
    }

    #[test]
    fn all_eight_values_turn_as_in_pillow() {
        let expected: [&[&str]; 8] = [
            &["abc", "def"],
            &["cba", "fed"],
            &["fed", "cba"],
            &["def", "abc"],
            &["ad", "be", "cf"],
            &["da", "eb", "fc"],
            &["fc", "eb", "da"],
            &["cf", "be", "ad"],
        ];
        let mut spare = Rgb::default();
        for (value, expected) in (1..).zip(expected) {
            let mut turned = image(&["abc", "def"]);
            Orientation::from_exif(value).unwrap().turn(&mut turned, &mut spare);
            assert_eq!(turned, image(expected), "value {value}");
        }
        assert_eq!((Orientation::from_exif(0), Orientation::from_exif(9)), (None, None));
    }
}
