//! The filters of resizing.

use serde::{Deserialize, Serialize};

/// A resizing filter, antialiased as in Pillow: its support grows by the factor by which the image shrinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Keys' cubic with a = −½, over four pixels.
    #[default]
    Bicubic,
    /// A triangle, over two pixels.
    Bilinear,
}
