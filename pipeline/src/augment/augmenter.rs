//! Renders all views of an image.

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

/// Renders the views of images by one recipe, keeping its memory.
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
    /// An augmenter for this recipe.
    pub fn new(recipe: Recipe) -> Self {
        Self::on(Cpu::default(), recipe)
    }

    /// An augmenter that uses these instructions.
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

    /// Renders all views of `image` into `views`, one after the other, [`Recipe::bytes`] in all.
    ///
    /// What comes out depends on the image, the recipe and the seed, and on nothing else.
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

    /// Draws what happens to an image of this size; gives the part of it that is needed.
    pub(crate) fn plan(&mut self, seed: SampleSeed, width: u32, height: u32) -> Result<Need> {
        self.plan.draw(&self.recipe, seed, width, height)?;
        Ok(self.plan.need(width, height))
    }

    /// Renders the views that were planned last, of an image that is there as far as they need it.
    ///
    /// # Panics
    /// If `views` has another length than [`Recipe::bytes`].
    pub(crate) fn render_planned(&mut self, image: &PixelPairs, views: &mut [u8]) {
        assert_eq!(views.len(), self.recipe.bytes(), "`views` holds all views of the recipe");
        let is_mirrored = self.plan.shared == [Edit::Flip];
        if !is_mirrored && !self.plan.shared.is_empty() {
            self.editor.run(image, false, &self.plan.shared).store_image(self.cpu, &mut self.shared);
            self.pixels.load_rgb(&self.shared);
            return render(self.cpu, &mut self.editor, &self.plan, &self.pixels, false, views);
        }
        render(self.cpu, &mut self.editor, &self.plan, image, is_mirrored, views);
    }
}

/// Renders the views of an image to which all that they share has been done.
fn render(
    cpu: Cpu,
    editor: &mut Editor,
    plan: &Plan,
    image: &PixelPairs,
    is_mirrored: bool,
    views: &mut [u8],
) {
    let bytes = views.len() / plan.views.len();
    for (edits, view) in plan.views.iter().zip(views.chunks_exact_mut(bytes)) {
        editor.run(image, is_mirrored, edits).store(cpu, view);
    }
}
