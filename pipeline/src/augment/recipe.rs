//! Recipes: augmentation as data.

use serde::{Deserialize, Serialize};

use super::op::Op;

/// The operations that make all views of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The operations that are drawn once per image, before its views diverge. Those that cut views cut the
    /// side of the first group.
    pub shared: Vec<Op>,
    /// The views, in groups of the same side.
    pub groups: Vec<Group>,
}

/// Views of the same side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The width and height of each view, in pixels.
    pub side: u32,
    /// The operations of each view, drawn for it alone.
    pub views: Vec<Vec<Op>>,
}

impl Recipe {
    /// Makes a recipe whose views all have the same side.
    pub fn new(shared: Vec<Op>, views: Vec<Vec<Op>>, side: u32) -> Self {
        Self { shared, groups: vec![Group { side, views }] }
    }

    /// Iterates over all views, each with its side and its operations.
    pub fn views(&self) -> impl Iterator<Item = (u32, &[Op])> {
        self.groups.iter().flat_map(|group| group.views.iter().map(|view| (group.side, &view[..])))
    }

    /// Returns the number of all views.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.views.len()).sum()
    }

    /// Returns whether there is no view.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the side of the first group, in pixels; 0 without one.
    pub fn side(&self) -> u32 {
        self.groups.first().map_or(0, |group| group.side)
    }

    /// Returns the bytes of all views of one image.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(|group| group.views.len() * group.view_bytes()).sum()
    }
}

impl Group {
    /// Returns the bytes of one view: 3 · side².
    pub fn view_bytes(&self) -> usize {
        3 * self.side as usize * self.side as usize
    }
}
