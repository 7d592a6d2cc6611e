//! A recipe with all parameters drawn.

use super::{
    drawing::Drawing,
    edit::Edit,
    random::{Draws, SampleSeed},
    recipe::Recipe,
};
use crate::{Result, image::Region};

/// The edits of one image: a recipe with all parameters drawn.
///
/// It depends only on the seed and the size of the image, so it is known before the image is decoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The edits that are applied once, before the views diverge.
    pub shared: Vec<Edit>,
    /// The edits of each view.
    pub views: Vec<Vec<Edit>>,
}

impl Plan {
    /// Draws the plan for an image of `width`×`height` pixels, replacing this one and reusing its memory.
    ///
    /// # Errors
    /// [`TooThin`](crate::Error::TooThin) if resizing would make too many pixels,
    /// [`Size`](crate::Error::Size) if a view would not have its side.
    pub fn draw(&mut self, recipe: &Recipe, seed: SampleSeed, width: u32, height: u32) -> Result<()> {
        self.shared.clear();
        self.views.resize(recipe.len(), Vec::new());
        let mut draws = Draws::new(seed, None);
        let (side, edits) = (recipe.side(), &mut self.shared);
        let mut shared = Drawing { width, height, side, seed, draws: &mut draws, edits };
        recipe.shared.iter().try_for_each(|op| shared.draw(op))?;
        let (width, height) = (shared.width, shared.height);
        for (view, ((side, ops), edits)) in recipe.views().zip(&mut self.views).enumerate() {
            edits.clear();
            let mut draws = Draws::new(seed, Some(view));
            let mut drawing = Drawing { width, height, side, seed, draws: &mut draws, edits };
            ops.iter().try_for_each(|op| drawing.draw(op))?;
            drawing.check()?;
        }
        Ok(())
    }
}

/// The part of an image that a plan needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// All of it, in red, green and blue.
    Whole,
    /// A region, which is then cropped and resized.
    Crops(Region),
}

impl Plan {
    /// Returns the part that is needed of an image of this size in pixels.
    pub(crate) fn need(&self, width: u32, height: u32) -> Need {
        let is_mirrored = match &self.shared[..] {
            [] => false,
            [Edit::Flip] => true,
            _ => return Need::Whole,
        };
        let mut region: Option<Region> = None;
        for edits in &self.views {
            let Some(Edit::ResizedCrop { crop, .. }) = edits.first() else { return Need::Whole };
            let left = if is_mirrored { width - crop.left - crop.width } else { crop.left };
            let crop = Region { left, top: crop.top, width: crop.width, height: crop.height };
            region = Some(region.map_or(crop, |region| region.union(crop)));
        }
        debug_assert!(
            region.is_none_or(|region| region.top + region.height <= height),
            "crops lie within the image"
        );
        region.map_or(Need::Whole, Need::Crops)
    }
}
