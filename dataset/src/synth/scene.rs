//! The content of one image: an object of its class, and everything that is independent of the class.

use pipeline::Rgb;

use super::{
    placement::Placement,
    shape::Shape,
    texture::{Cloth, Texture, value_noise, wave},
};
use crate::random::Random;

/// Red, green and blue, from 0 to 1.
type Color = [f32; 3];

/// The classes: each has its own shape and texture.
pub(super) const CLASSES: [(&str, Shape, Texture); 10] = [
    ("dotted-disc", Shape::Disc, Texture::Dots),
    ("checked-square", Shape::Square, Texture::Checks),
    ("striped-triangle", Shape::Triangle, Texture::Stripes),
    ("plain-ring", Shape::Ring, Texture::Plain),
    ("latticed-cross", Shape::Cross, Texture::Lattice),
    ("rayed-star", Shape::Star, Texture::Rays),
    ("wavy-crescent", Shape::Crescent, Texture::Waves),
    ("ringed-hexagon", Shape::Hexagon, Texture::Rings),
    ("speckled-heart", Shape::Heart, Texture::Speckles),
    ("jagged-arrow", Shape::Arrow, Texture::Zigzag),
];

/// One image before it is rendered. Lengths are in units of the short side; the middle of the image is the
/// origin.
#[derive(Debug)]
pub(super) struct Scene {
    width: u32,
    height: u32,
    background: Background,
    clutter: Vec<Figure>,
    object: Figure,
    /// The largest change of a pixel's brightness by noise.
    noise: f32,
}

impl Scene {
    /// Draws an image of `class`; everything else comes from `random`.
    pub(super) fn draw(class: usize, (width, height): (u32, u32), random: &mut Random) -> Self {
        let pixels = width.min(height) as f32;
        let room = (width as f32 / pixels / 2.0, height as f32 / pixels / 2.0);
        let background = Background::draw(pixels, random);
        let clutter = (0..2 + random.below(4)).map(|_| Figure::clutter(room, pixels, random)).collect();
        let (_, shape, texture) = CLASSES[class];
        Self {
            width,
            height,
            background,
            clutter,
            object: Figure::object(shape, texture, room, pixels, random),
            noise: random.between(0.02, 0.12),
        }
    }

    /// Renders the pixels, with noise from `random`.
    pub(super) fn render(&self, random: &mut Random) -> Rgb {
        let mut image = Rgb::black(self.width, self.height);
        let step = 1.0 / self.width.min(self.height) as f32;
        let (left, top) = (0.5 - self.width as f32 / 2.0, 0.5 - self.height as f32 / 2.0);
        for (index, pixel) in image.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (column, row) = (index as u32 % self.width, index as u32 / self.width);
            let (x, y) = ((column as f32 + left) * step, (row as f32 + top) * step);
            let noise = self.noise * triangular(random);
            *pixel = self.color(x, y).map(|c| ((c + noise) * 255.0 + 0.5).clamp(0.0, 255.0) as u8);
        }
        image
    }

    fn color(&self, x: f32, y: f32) -> Color {
        let background = self.background.color(x, y);
        let cluttered = self.clutter.iter().fold(background, |color, figure| figure.over(color, x, y));
        self.object.over(cluttered, x, y)
    }
}

/// Draws a number from -1 to 1, most often near 0.
fn triangular(random: &mut Random) -> f32 {
    let bits = random.next_u64();
    let part = |shift: u32| ((bits >> shift) & 0xFFFF) as f32 / 65536.0;
    part(0) + part(16) - part(32) - part(48)
}

/// A gradient with clouds and a faint texture, which may be that of any class.
#[derive(Debug)]
struct Background {
    color: Color,
    /// The change of colour along the two sides, by the clouds, and by the texture.
    right: Color,
    down: Color,
    clouds: Color,
    cloth: Cloth,
    relief: Color,
    /// The place of the image in the endless clouds.
    sky: (f32, f32),
}

impl Background {
    fn draw(pixels: f32, random: &mut Random) -> Self {
        let placement = Placement::draw(random, 0.0, 0.0, 1.0);
        let texture = random.pick(&Texture::ALL);
        let period = random.between(0.12, 0.3);
        let strength = random.between(0.0, 0.2);
        Self {
            color: color(random, 0.25, 0.75),
            right: change(random, 0.3),
            down: change(random, 0.3),
            clouds: change(random, 0.3),
            cloth: Cloth::new(texture, placement, period, pixels),
            relief: change(random, strength),
            sky: (random.between(0.0, 1e4), random.between(0.0, 1e4)),
        }
    }

    fn color(&self, x: f32, y: f32) -> Color {
        let clouds = value_noise(3.0 * x + self.sky.0, 3.0 * y + self.sky.1) - 0.5;
        let tone = self.cloth.tone(x, y) - 0.5;
        [0, 1, 2].map(|i| {
            self.color[i]
                + self.right[i] * x
                + self.down[i] * y
                + self.clouds[i] * clouds
                + self.relief[i] * tone
        })
    }
}

/// A shape somewhere in the image, filled with a texture of two colours.
#[derive(Debug)]
struct Figure {
    shape: Shape,
    placement: Placement,
    /// The pixels in its radius, which determine the sharpness of its outline.
    radius: f32,
    cloth: Cloth,
    tones: [Color; 2],
}

impl Figure {
    fn object(shape: Shape, texture: Texture, room: (f32, f32), pixels: f32, random: &mut Random) -> Self {
        let radius = random.between(0.26, 0.38);
        let reach = |half: f32| half - 0.8 * radius;
        let x = random.between(-reach(room.0), reach(room.0));
        let y = random.between(-reach(room.1), reach(room.1));
        let period = random.between(0.15, 0.22);
        let placement = Placement::draw(random, x, y, TURN);
        let weave = Placement::draw(random, x, y, TURN);
        let mut tones = [color(random, 0.1, 0.4), color(random, 0.6, 0.9)];
        random.shuffle(&mut tones);
        Self {
            shape,
            placement: placement.scaled(radius),
            radius: radius * pixels,
            cloth: Cloth::new(texture, weave, period, pixels),
            tones,
        }
    }

    fn clutter(room: (f32, f32), pixels: f32, random: &mut Random) -> Self {
        let radius = random.between(0.04, 0.1);
        let (x, y) = (random.between(-room.0, room.0), random.between(-room.1, room.1));
        let placement = Placement::draw(random, x, y, 1.0);
        Self {
            shape: random.pick(&Shape::ALL),
            placement: placement.scaled(radius),
            radius: radius * pixels,
            cloth: Cloth::new(Texture::Plain, placement, 1.0, pixels),
            tones: [color(random, 0.1, 0.9), [0.0; 3]],
        }
    }

    /// Returns the colour of a point on this figure, or blended with `below` at its outline.
    fn over(&self, below: Color, x: f32, y: f32) -> Color {
        let (u, v) = self.placement.local(x, y);
        let cover = (0.5 - self.radius * self.shape.distance(u, -v)).clamp(0.0, 1.0);
        if cover == 0.0 {
            return below;
        }
        let own = mix(self.tones[0], self.tones[1], self.cloth.tone(x, y));
        mix(below, own, cover)
    }
}

/// tan of half the largest rotation of an object: about 30 degrees.
const TURN: f32 = 0.27;

fn mix(a: Color, b: Color, share: f32) -> Color {
    [0, 1, 2].map(|i| a[i] + share * (b[i] - a[i]))
}

/// Draws a colour of any hue, with a brightness from `low` to `high`.
fn color(random: &mut Random, low: f32, high: f32) -> Color {
    let brightness = random.between(low, high);
    let tint = tint(random);
    tint.map(|t| (brightness + 0.3 * t).clamp(0.0, 1.0))
}

/// Draws a change of brightness and hue by up to `most`.
fn change(random: &mut Random, most: f32) -> Color {
    let brightness = random.between(-most, most);
    let tint = tint(random);
    tint.map(|t| brightness + 0.3 * most * t)
}

/// Draws a direction on the circle of hues, between gray and saturated.
fn tint(random: &mut Random) -> Color {
    let (hue, saturation) = (random.between(0.0, 1.0), random.between(0.0, 1.0));
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|third| saturation * wave(hue - third))
}
