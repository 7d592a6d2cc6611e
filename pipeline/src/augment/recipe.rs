//! Augmentation as data.

use serde::{Deserialize, Serialize};

use super::op::Op;

/// The operations that make all views of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Drawn once per image, before its views diverge.
    pub shared: Vec<Op>,
    /// For each view the operations drawn for it alone.
    pub views: Vec<Vec<Op>>,
    /// Width and height of every view.
    pub side: u32,
}

impl Recipe {
    /// Bytes of one view.
    pub fn view_bytes(&self) -> usize {
        3 * self.side as usize * self.side as usize
    }

    /// Bytes of all views of one image.
    pub fn bytes(&self) -> usize {
        self.views.len() * self.view_bytes()
    }
}
