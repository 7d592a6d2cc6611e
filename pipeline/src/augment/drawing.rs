//! Draws the parameters of operations.

use super::{
    edit::{Crop, Curve, Edit, Window},
    filter::Filter,
    op::Op,
    random::{Draws, SampleSeed},
};
use crate::{Error, Result};

/// Aspect ratios of up to 1:196 fit with every preset.
const MAX_RESIZED: u64 = 1 << 22;

/// A list of edits being drawn, with the image's size after them.
pub(super) struct Drawing<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// The side of the view.
    pub(super) side: u32,
    pub(super) seed: SampleSeed,
    pub(super) draws: &'a mut Draws,
    pub(super) edits: &'a mut Vec<Edit>,
}

impl Drawing<'_> {
    /// Draws the parameters of an operation, if it is applied.
    pub(super) fn draw(&mut self, op: &Op) -> Result<()> {
        if !op.probability().is_none_or(|p| self.draws.chance(p)) {
            return Ok(());
        }
        match *op {
            Op::Flip { .. } => self.edits.push(Edit::Flip),
            Op::Translate { max, .. } => self.translate(max),
            Op::ResizedCrop { scale, ratio, filter } => {
                let crop = self.random_crop(scale, ratio);
                self.resize(crop, self.side, self.side, filter);
            }
            Op::RandomCrop => self.place_crop()?,
            Op::ResizeShort { edge } => self.resize_short(edge)?,
            Op::CenterCrop => self.center_crop()?,
            Op::Affine { translate, scale, rotate, .. } => self.affine(translate, scale, rotate),
            Op::SeedPatch { zoom, translate, scale, rotate } => {
                self.seed_patch(zoom, translate, scale, rotate);
            }
            Op::ColorJitter { brightness, contrast, saturation, hue, .. } => {
                self.jitter([brightness, contrast, saturation], hue);
            }
            Op::Grayscale { .. } => self.edits.push(Edit::Grayscale),
            Op::GaussianBlur { sigma: (low, high), .. } => {
                let sigma = self.draws.uniform(low, high);
                self.edits.push(Edit::Blur(sigma));
            }
            Op::Solarize { threshold, .. } => self.edits.push(Edit::Solarize(threshold)),
            Op::PcaContrast { factors: (low, high), colours, .. } => {
                let factors = std::array::from_fn(|_| self.draws.uniform(low, high));
                self.edits.push(Edit::PcaContrast { factors, colours });
            }
            Op::HsvContrast { powers, factors, shift, hue, .. } => {
                self.hsv_contrast(powers, factors, shift, hue);
            }
        }
        Ok(())
    }

    fn translate(&mut self, max: u32) {
        let mut offset = || self.draws.below(2 * max + 1) as i32 - max as i32;
        let (dx, dy) = (offset(), offset());
        self.edits.push(Edit::Translate { dx, dy });
    }

    fn affine(&mut self, translate: f64, scale: (f64, f64), rotate: f64) {
        let (width, height) = (self.width, self.height);
        let window = self.window(translate, scale, rotate);
        let x = (0.5 + window.x) * f64::from(width);
        let y = (0.5 + window.y) * f64::from(height);
        self.edits.push(Edit::Sample(Window { x, y, width, height, ..window }));
    }

    fn seed_patch(&mut self, zoom: (f64, f64), translate: f64, scale: (f64, f64), rotate: f64) {
        let mut lasting = Draws::lasting(self.seed);
        let (side, short) = (self.side, self.width.min(self.height));
        let length = |zoom: f64| (zoom * f64::from(side)).clamp(1.0, f64::from(short));
        let seed = lasting.uniform(length(zoom.0), length(zoom.1)).round();
        let place = lasting.uniform(0.0, 1.0);
        let window = self.window(translate, scale, rotate);
        let window = Window {
            x: window.x * seed,
            y: window.y * seed,
            scale: window.scale * seed / f64::from(side),
            ..window
        };
        (self.width, self.height) = (side, side);
        self.edits.push(Edit::SeedPatch { seed: seed as u32, place, window });
    }

    /// Draws a window of the view's side, with its middle as shares of a side.
    fn window(&mut self, translate: f64, scale: (f64, f64), rotate: f64) -> Window {
        let draws = &mut *self.draws;
        let x = draws.uniform(-translate, translate);
        let y = draws.uniform(-translate, translate);
        let scale = draws.uniform(scale.0, scale.1);
        let degrees = draws.uniform(-rotate, rotate);
        Window { x, y, scale, degrees, width: self.side, height: self.side }
    }

    fn place_crop(&mut self) -> Result<()> {
        let side = self.side;
        if self.width < side || self.height < side {
            self.resize_short(side)?;
        }
        let left = self.draws.below(self.width - side + 1);
        let top = self.draws.below(self.height - side + 1);
        // Resizing to the same size copies, and reads nothing but the crop.
        self.resize(Crop { top, left, height: side, width: side }, side, side, Filter::Bilinear);
        Ok(())
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
        let crop = Crop { top: 0, left: 0, height: self.height, width: self.width };
        self.resize(crop, width, height, Filter::Bicubic);
        Ok(())
    }

    fn resize(&mut self, crop: Crop, width: u32, height: u32, filter: Filter) {
        let whole = (crop.width, crop.height) == (self.width, self.height);
        if whole && (width, height) == (self.width, self.height) {
            return; // the image has that size already
        }
        (self.width, self.height) = (width, height);
        self.edits.push(Edit::ResizedCrop { crop, width, height, filter });
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
        let is_fixed = |edit: &Edit| match edit {
            Edit::Brightness(_) => spreads[0] == 0.0,
            Edit::Contrast(_) => spreads[1] == 0.0,
            Edit::Saturation(_) => spreads[2] == 0.0,
            _ => hue == 0.0,
        };
        self.edits.extend(edits.into_iter().filter(|edit| !is_fixed(edit)));
    }

    fn hsv_contrast(&mut self, powers: (f64, f64), factors: (f64, f64), shift: f64, hue: f64) {
        let draws = &mut *self.draws;
        let mut curve = || Curve {
            power: draws.uniform(powers.0, powers.1),
            factor: draws.uniform(factors.0, factors.1),
            shift: draws.uniform(-shift, shift),
        };
        let (saturation, value) = (curve(), curve());
        let hue = draws.uniform(-hue, hue);
        self.edits.push(Edit::HsvContrast { saturation, value, hue });
    }

    /// Checks that the image has the view's side.
    pub(super) fn check(&self) -> Result<()> {
        let Self { width, height, side, .. } = *self;
        if (width, height) == (side, side) { Ok(()) } else { Err(Error::Size { width, height, side }) }
    }
}
