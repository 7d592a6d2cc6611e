//! Renders all views of a decoded image.

use super::{
    edit::Edit,
    editor::Editor,
    plan::{Need, Plan},
    random::SampleSeed,
    recipe::Recipe,
};
use crate::{
    Cpu, Result,
    image::{PixelPairs, Rgb},
};

/// Renders the views of decoded images by one recipe, reusing its memory.
#[derive(Debug)]
pub struct Augmenter {
    cpu: Cpu,
    recipe: Recipe,
    plan: Plan,
    editor: Editor,
    pixels: PixelPairs,
    shared: Rgb,
}

impl Augmenter {
    /// Makes an augmenter for this recipe, with the best instruction set of this CPU.
    pub fn new(recipe: Recipe) -> Self {
        Self::on(Cpu::default(), recipe)
    }

    /// Makes an augmenter that uses this instruction set.
    pub fn on(cpu: Cpu, recipe: Recipe) -> Self {
        Self {
            cpu,
            recipe,
            plan: Plan::default(),
            editor: Editor::new(cpu),
            pixels: PixelPairs::new(cpu),
            shared: Rgb::default(),
        }
    }

    /// Renders all views of `image` into `views`, one after the other: (side, side, 3) bytes for each,
    /// [`Recipe::bytes`] in all.
    ///
    /// The result depends only on the image, the recipe and the seed.
    ///
    /// # Errors
    /// The image is too thin for the recipe, or of a size that the recipe does not bring to the side of its
    /// views.
    ///
    /// # Panics
    /// If `views` has another length.
    pub fn render(&mut self, image: &Rgb, seed: SampleSeed, views: &mut [u8]) -> Result<()> {
        self.plan(seed, image.width, image.height)?;
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.load_rgb(image);
        self.render_planned(&pixels, views);
        self.pixels = pixels;
        Ok(())
    }

    /// Draws the edits for an image of this size in pixels. Returns the part of the image that they need.
    pub(crate) fn plan(&mut self, seed: SampleSeed, width: u32, height: u32) -> Result<Need> {
        self.plan.draw(&self.recipe, seed, width, height)?;
        Ok(self.plan.need(width, height))
    }

    /// Renders the views that were planned last; `image` must contain the part that they need.
    ///
    /// # Panics
    /// If the length of `views` is not [`Recipe::bytes`].
    pub(crate) fn render_planned(&mut self, image: &PixelPairs, views: &mut [u8]) {
        assert_eq!(views.len(), self.recipe.bytes(), "`views` has room for all views of the recipe");
        let is_mirrored = self.plan.shared == [Edit::Flip];
        if !is_mirrored && !self.plan.shared.is_empty() {
            self.editor.run(image, false, &self.plan.shared).store_image(self.cpu, &mut self.shared);
            self.pixels.load_rgb(&self.shared);
            return render(self.cpu, &mut self.editor, &self.plan, &self.pixels, false, views);
        }
        render(self.cpu, &mut self.editor, &self.plan, image, is_mirrored, views);
    }
}

/// Renders the views of an image whose shared edits are done.
fn render(
    cpu: Cpu,
    editor: &mut Editor,
    plan: &Plan,
    image: &PixelPairs,
    is_mirrored: bool,
    mut views: &mut [u8],
) {
    for edits in &plan.views {
        let edited = editor.run(image, is_mirrored, edits);
        let (view, rest) = std::mem::take(&mut views).split_at_mut(edited.pixels.len());
        edited.store(cpu, view);
        views = rest;
    }
}
