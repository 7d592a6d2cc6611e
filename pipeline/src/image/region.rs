//! A region of an image.

/// A rectangle of pixels within an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The number of columns to the left of it.
    pub left: u32,
    /// The number of rows above it.
    pub top: u32,
    /// The number of its columns, at least one.
    pub width: u32,
    /// The number of its rows, at least one.
    pub height: u32,
}

impl Region {
    /// Returns the smallest rectangle that contains both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (left, top) = (self.left.min(other.left), self.top.min(other.top));
        let right = (self.left + self.width).max(other.left + other.width);
        let bottom = (self.top + self.height).max(other.top + other.height);
        Self { left, top, width: right - left, height: bottom - top }
    }
}
