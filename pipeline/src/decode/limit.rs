//! How large an image may be.

use crate::{Error, Result};

/// The longest side: views are made of pairs of columns, each of which takes 192 bytes however short it is.
const MAX_SIDE: u32 = 1 << 20;

/// How large an image may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) max_pixels: u64,
}

impl Limit {
    /// Refuses a size beyond the limit.
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
