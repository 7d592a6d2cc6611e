//! From one decoded image to its augmented views.

#![expect(
    clippy::inline_always,
    reason = "loops take the CPU features of the function that they are inlined into"
)]

mod axis;
mod color;
mod draw;
mod edit;
mod geometry;
mod hue;
mod plan;
mod planes;
mod recipe;
mod resize;
mod transpose;

pub use draw::Occasion;
pub use edit::{Crop, Edit, Editor, edit, resize};
pub use plan::Plan;
pub use recipe::{Normalization, Op, Preset, Recipe};

use crate::{Result, Rgb};

/// Renders the views of images by one recipe, keeping its memory.
#[derive(Debug)]
pub struct Augmenter {
    recipe: Recipe,
    plan: Plan,
    editor: edit::Editor,
    shared: Rgb,
}

impl Augmenter {
    /// An augmenter for this recipe.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, plan: Plan::default(), editor: edit::Editor::default(), shared: Rgb::default() }
    }

    /// Renders all views of `image` into `views`, one after the other, [`Recipe::bytes`] in all.
    ///
    /// What comes out depends on the image, the recipe and the occasion, and on nothing else.
    ///
    /// # Panics
    /// If `views` has another length.
    pub fn render(&mut self, image: &Rgb, occasion: Occasion, views: &mut [u8]) -> Result<()> {
        assert_eq!(views.len(), self.recipe.bytes(), "`views` holds all views of the recipe");
        self.plan.draw(&self.recipe, occasion, image.width, image.height)?;
        let (image, mirrored) = match &self.plan.shared[..] {
            [] => (image, false),
            [Edit::Flip] => (image, true),
            edits => {
                self.editor.edit(image, edits, &mut self.shared);
                (&self.shared, false)
            }
        };
        for (edits, view) in self.plan.views.iter().zip(views.chunks_exact_mut(self.recipe.view_bytes())) {
            self.editor.run(image, mirrored, edits).store(view);
        }
        Ok(())
    }
}
