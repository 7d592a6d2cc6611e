//! Placements in an image.

use crate::random::Random;

/// The placement of something in the image: its centre, and a rotation with a scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    x: f32,
    y: f32,
    /// cos and sin of the rotation, divided by the scale.
    turn: (f32, f32),
}

impl Placement {
    /// Places something at (x, y), rotated by a random angle; `half_tangent` is the largest tan of half the
    /// angle (1 is a right angle).
    pub(super) fn draw(random: &mut Random, x: f32, y: f32, half_tangent: f32) -> Self {
        let t = random.between(-half_tangent, half_tangent);
        let norm = 1.0 + t * t;
        Self { x, y, turn: ((1.0 - t * t) / norm, 2.0 * t / norm) }
    }

    pub(super) fn scaled(self, scale: f32) -> Self {
        let (cos, sin) = self.turn;
        Self { turn: (cos / scale, sin / scale), ..self }
    }

    /// Converts a point of the image to the coordinates of this placement.
    pub(super) fn local(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.x, y - self.y);
        let (cos, sin) = self.turn;
        (cos * dx + sin * dy, cos * dy - sin * dx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placement_keeps_distances_up_to_its_scale() {
        let placement = Placement::draw(&mut Random::new(&[1]), 0.2, -0.1, 1.0).scaled(0.5);
        let (x, y) = placement.local(0.5, 0.3);
        let expected = 0.5 / 0.5; // a 3-4-5 triangle around (0.2, -0.1)
        assert!(((x * x + y * y).sqrt() - expected).abs() < 1e-5);
    }
}
