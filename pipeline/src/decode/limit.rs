//! The limit of image sizes.

use crate::{Error, Result};

/// The longest side in pixels: views are made of pairs of columns, each of which takes 192 bytes, however
/// short.
const MAX_SIDE: u32 = 1 << 20;

/// The limit of image sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) max_pixels: u64,
}

impl Limit {
    /// Checks a size in pixels.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::TooLong`].
    pub(super) fn check(self, width: u32, height: u32) -> Result<()> {
        let (limit, pixels) = (self.max_pixels, u64::from(width) * u64::from(height));
        if pixels > limit {
            return Err(Error::TooLarge { width, height, limit });
        }
        if width.max(height) > MAX_SIDE {
            return Err(Error::TooLong { width, height, limit: MAX_SIDE });
        }
        Ok(())
    }
}
