//! A recipe with all parameters drawn.

use super::{
    edit::{Crop, Edit},
    op::Op,
    random::{Draws, SampleSeed},
    recipe::Recipe,
};
use crate::{Error, Result, image::Region};

/// Aspect ratios of up to 1:196 fit with every preset.
const MAX_RESIZED: u64 = 1 << 22;

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
    /// [`Error::TooThin`] if resizing would make too many pixels, [`Error::Size`] if a view would not have
    /// the recipe's side.
    pub fn draw(&mut self, recipe: &Recipe, seed: SampleSeed, width: u32, height: u32) -> Result<()> {
        self.shared.clear();
        self.views.resize(recipe.views.len(), Vec::new());
        let mut draws = Draws::new(seed, None);
        let mut shared =
            Drawing { width, height, side: recipe.side, draws: &mut draws, edits: &mut self.shared };
        recipe.shared.iter().try_for_each(|op| shared.draw(op))?;
        let (width, height) = (shared.width, shared.height);
        for (view, (ops, edits)) in recipe.views.iter().zip(&mut self.views).enumerate() {
            edits.clear();
            let mut draws = Draws::new(seed, Some(view));
            let mut drawing = Drawing { width, height, side: recipe.side, draws: &mut draws, edits };
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

/// A list of edits being drawn, with the image's size after them.
struct Drawing<'a> {
    width: u32,
    height: u32,
    side: u32,
    draws: &'a mut Draws,
    edits: &'a mut Vec<Edit>,
}

impl Drawing<'_> {
    fn draw(&mut self, op: &Op) -> Result<()> {
        match *op {
            Op::Flip { p } => {
                if self.draws.chance(p) {
                    self.edits.push(Edit::Flip);
                }
            }
            Op::Translate { p, max } => self.translate(p, max),
            Op::ResizedCrop { scale, ratio } => {
                let crop = self.random_crop(scale, ratio);
                self.resize(crop, self.side, self.side);
            }
            Op::ResizeShort { edge } => self.resize_short(edge)?,
            Op::CenterCrop => self.center_crop()?,
            Op::ColorJitter { p, brightness, contrast, saturation, hue } => {
                if self.draws.chance(p) {
                    self.jitter([brightness, contrast, saturation], hue);
                }
            }
            Op::Grayscale { p } => {
                if self.draws.chance(p) {
                    self.edits.push(Edit::Grayscale);
                }
            }
        }
        Ok(())
    }

    fn translate(&mut self, p: f64, max: u32) {
        if self.draws.chance(p) {
            let mut offset = || self.draws.below(2 * max + 1) as i32 - max as i32;
            let (dx, dy) = (offset(), offset());
            self.edits.push(Edit::Translate { dx, dy });
        }
    }

    /// Draws a crop as torchvision's `RandomResizedCrop` does: ten tries at a random shape that fits, then a
    /// central crop.
    fn random_crop(&mut self, scale: (f64, f64), ratio: (f64, f64)) -> Crop {
        let area = f64::from(self.width) * f64::from(self.height);
        for _ in 0..10 {
            let area = area * self.draws.uniform(scale.0, scale.1);
            let ratio = self.draws.uniform(ratio.0.ln(), ratio.1.ln()).exp();
            let width = (area * ratio).sqrt().round_ties_even() as u32;
            let height = (area / ratio).sqrt().round_ties_even() as u32;
            if (1..=self.width).contains(&width) && (1..=self.height).contains(&height) {
                let top = self.draws.below(self.height - height + 1);
                let left = self.draws.below(self.width - width + 1);
                return Crop { top, left, height, width };
            }
        }
        self.central_crop(ratio)
    }

    /// Returns the largest central crop whose ratio is within bounds.
    fn central_crop(&self, (least, most): (f64, f64)) -> Crop {
        let (mut width, mut height) = (self.width, self.height);
        let ratio = f64::from(width) / f64::from(height);
        if ratio < least {
            height = (f64::from(width) / least).round_ties_even() as u32;
        } else if ratio > most {
            width = (f64::from(height) * most).round_ties_even() as u32;
        }
        let (width, height) = (width.max(1), height.max(1));
        Crop { top: (self.height - height) / 2, left: (self.width - width) / 2, height, width }
    }

    fn resize_short(&mut self, edge: u32) -> Result<()> {
        let (short, long) = (self.width.min(self.height), self.width.max(self.height));
        let other = u64::from(edge) * u64::from(long) / u64::from(short);
        let limit = MAX_RESIZED / u64::from(edge);
        if other > limit {
            let Self { width, height, .. } = *self;
            return Err(Error::TooThin { width, height, edge, long: other, limit });
        }
        let other = other as u32;
        let (width, height) = if self.width <= self.height { (edge, other) } else { (other, edge) };
        self.resize(Crop { top: 0, left: 0, height: self.height, width: self.width }, width, height);
        Ok(())
    }

    fn resize(&mut self, crop: Crop, width: u32, height: u32) {
        let whole = (crop.width, crop.height) == (self.width, self.height);
        if whole && (width, height) == (self.width, self.height) {
            return; // the image has that size already
        }
        (self.width, self.height) = (width, height);
        self.edits.push(Edit::ResizedCrop { crop, width, height });
    }

    fn center_crop(&mut self) -> Result<()> {
        let side = self.side;
        if self.width < side || self.height < side {
            return self.check();
        }
        if (self.width, self.height) == (side, side) {
            return Ok(());
        }
        let before = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
        let crop = Crop { top: before(self.height), left: before(self.width), height: side, width: side };
        (self.width, self.height) = (side, side);
        self.edits.push(Edit::Crop(crop));
        Ok(())
    }

    fn jitter(&mut self, spreads: [f64; 3], hue: f64) {
        let draws = &mut *self.draws;
        let [b, c, s] = spreads.map(|x| draws.uniform((1.0 - x).max(0.0), 1.0 + x) as f32);
        let turns = draws.uniform(-hue, hue);
        let mut edits = [Edit::Brightness(b), Edit::Contrast(c), Edit::Saturation(s), Edit::Hue(turns)];
        draws.shuffle(&mut edits);
        self.edits.extend(edits);
    }

    fn check(&self) -> Result<()> {
        let Self { width, height, side, .. } = *self;
        if (width, height) == (side, side) { Ok(()) } else { Err(Error::Size { width, height, side }) }
    }
}
