//! What the fuzz targets share with the tests of the decoder, and how they take their input apart.
//!
//! Sanitizers want a nightly compiler, or a stable one that is told to act as if:
//!
//! ```sh
//! RUSTC_BOOTSTRAP=1 cargo fuzz run jpeg_structured --no-trace-compares -- -max_len=512
//! RUSTC_BOOTSTRAP=1 cargo fuzz run jpeg_differential fuzz/corpus/jpeg_differential fuzz/seeds/jpeg_differential
//! ```

use pipeline::jpeg::Region;

#[path = "../../tests/jpeg/forge.rs"]
mod forge;
#[path = "../../tests/jpeg/judge.rs"]
mod judge;
mod structured;

pub use structured::{structured, with_restarts};

/// Larger images are not worth their time.
const MAX_PIXELS: u32 = 1 << 14;

/// Judges `bytes` as they are.
pub fn differential(bytes: &[u8]) {
    judge(bytes, bytes.last_chunk().copied().unwrap_or_default());
}

/// Judges a file and a region of it that four bytes give; whether it is accepted.
fn judge(bytes: &[u8], region: [u8; 4]) -> bool {
    judge::judge(bytes, MAX_PIXELS, |width, height| {
        let [left, top, columns, rows] = region.map(u32::from);
        let (left, top) = (left * width / 256, top * height / 256);
        let (columns, rows) = (columns * (width - left) / 256, rows * (height - top) / 256);
        Region { left, top, width: columns.max(1), height: rows.max(1) }
    })
}
