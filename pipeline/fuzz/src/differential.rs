//! Bytes as a JPEG, which libjpeg-turbo judges as well.

use pipeline::jpeg::Region;

use crate::{judge, whole::MAX_PIXELS};

/// Checks `bytes` as a JPEG, unchanged.
pub fn differential(bytes: &[u8]) {
    judge(bytes, bytes.last_chunk().copied().unwrap_or_default());
}

/// Checks a file, and a region of it given by four bytes. Returns whether the file is accepted.
pub(crate) fn judge(bytes: &[u8], region: [u8; 4]) -> bool {
    judge::judge(bytes, MAX_PIXELS, |width, height| {
        let [left, top, columns, rows] = region.map(u32::from);
        let (left, top) = (left * width / 256, top * height / 256);
        let (columns, rows) = (columns * (width - left) / 256, rows * (height - top) / 256);
        Region { left, top, width: columns.max(1), height: rows.max(1) }
    })
}
