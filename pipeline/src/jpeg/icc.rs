//! Whether a colour profile is complete. It plays no part in decoding, but libjpeg-turbo warns of one that is not.

use super::{Refusal, Result};

/// The parts of a colour profile that have been seen.
#[derive(Default)]
pub(super) struct Profile {
    /// Parts that there should be, as each of them says.
    count: u8,
    /// Which parts were seen, a bit for each.
    seen: [u128; 2],
    is_empty: bool,
}

impl Profile {
    /// Takes an APP2 segment, which may hold part of a profile.
    pub(super) fn segment(&mut self, segment: &[u8]) -> Result<()> {
        let Some([number, count, data @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") else { return Ok(()) };
        let is_first = self.seen == [0; 2];
        if is_first {
            (self.count, self.is_empty) = (*count, true);
        }
        let (seen, part) = (&mut self.seen[usize::from(number >> 7)], 1 << (number & 127));
        if *number == 0 || *number > *count || *count != self.count || *seen & part != 0 {
            return Err(Refusal::Damaged);
        }
        *seen |= part;
        self.is_empty &= data.is_empty();
        Ok(())
    }

    /// Whether all parts were there, or none.
    pub(super) fn is_complete(&self) -> bool {
        let parts: u32 = self.seen.iter().map(|seen| seen.count_ones()).sum();
        parts == u32::from(self.count) && !self.is_empty
    }
}
