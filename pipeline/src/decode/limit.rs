//! How large an image may be.

use crate::{Error, Result};

/// The longest side of a JPEG, and more than the other formats need.
const MAX_SIDE: u32 = 65_535;

/// How large an image may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) max_pixels: u64,
}

impl Limit {
    /// Refuses a size beyond the limit.
    pub(super) fn check(self, width: u32, height: u32) -> Result<()> {
        let (limit, pixels) = (self.max_pixels, u64::from(width) * u64::from(height));
        if width.max(height) > MAX_SIDE || pixels > limit {
            return Err(Error::TooLarge { width: width.into(), height: height.into(), limit });
        }
        Ok(())
    }
}
