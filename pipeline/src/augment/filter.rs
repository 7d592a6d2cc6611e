//! The filters of resizing.

use serde::{Deserialize, Serialize};

/// A filter of resizing, antialiased as Pillow does it: it widens by the factor by which an image shrinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Keys' cubic with a = −½, over four pixels.
    #[default]
    Bicubic,
    /// A triangle, over two pixels.
    Bilinear,
}
