//! The size of synthetic images.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use crate::error::SizeError;

/// The valid lengths of a side of a synthetic image, in pixels.
pub const SIDES: RangeInclusive<u32> = 8..=500;

/// Width and height in pixels, each from 8 to 500, written `WxH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
}

impl Size {
    /// Checks the bounds of both sides.
    pub(super) fn check(self) -> Result<Self, SizeError> {
        let Self { width, height } = self;
        if SIDES.contains(&width) && SIDES.contains(&height) {
            return Ok(self);
        }
        Err(SizeError::Bounds { width, height, least: *SIDES.start(), most: *SIDES.end() })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let parse = || {
            let (width, height) = text.split_once(['x', 'X', '×'])?;
            Some(Self { width: width.trim().parse().ok()?, height: height.trim().parse().ok()? })
        };
        parse().ok_or(SizeError::Form)?.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_parsed_as_width_times_height() {
        assert_eq!("500x375".parse::<Size>().unwrap(), Size { width: 500, height: 375 });
        for wrong in ["500", "x", "7x100", "100x501", "-3x40"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
