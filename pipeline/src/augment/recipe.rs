//! Recipes: augmentation as data.

use serde::{Deserialize, Serialize};

use super::op::Op;

/// The operations that make all views of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The operations that are drawn once per image, before its views diverge.
    pub shared: Vec<Op>,
    /// The operations of each view, drawn for it alone.
    pub views: Vec<Vec<Op>>,
    /// The width and height of every view, in pixels.
    pub side: u32,
}

impl Recipe {
    /// Returns the bytes of one view: 3 · side².
    pub fn view_bytes(&self) -> usize {
        3 * self.side as usize * self.side as usize
    }

    /// Returns the bytes of all views of one image.
    pub fn bytes(&self) -> usize {
        self.views.len() * self.view_bytes()
    }
}
