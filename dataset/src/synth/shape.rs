//! Outlines as signed distances.

/// An outline around the origin, with a radius of about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Disc,
    Square,
    Triangle,
    Ring,
    Cross,
    Star,
    Crescent,
    Hexagon,
    Heart,
    Arrow,
}

impl Shape {
    pub(super) const ALL: [Self; 10] = [
        Self::Disc,
        Self::Square,
        Self::Triangle,
        Self::Ring,
        Self::Cross,
        Self::Star,
        Self::Crescent,
        Self::Hexagon,
        Self::Heart,
        Self::Arrow,
    ];

    /// Returns the distance of (x, y) from the outline, negative inside. It is exact near the outline;
    /// farther away it has the right sign.
    pub(super) fn distance(self, x: f32, y: f32) -> f32 {
        match self {
            Self::Disc => length(x, y) - 0.95,
            Self::Square => block(x, y, 0.84, 0.84),
            Self::Triangle => triangle(x, y, 0.6),
            Self::Ring => (length(x, y) - 0.75).abs() - 0.28,
            Self::Cross => block(x, y, 1.05, 0.36).min(block(x, y, 0.36, 1.05)),
            Self::Star => star(x, y),
            Self::Crescent => (length(x, y) - 1.05).max(0.72 - length(x - 0.55, y)),
            Self::Hexagon => hexagon(x, y, 0.88),
            Self::Heart => heart(x, y + 0.15),
            Self::Arrow => triangle(x, y - 0.35, 0.42).min(block(x, y + 0.45, 0.32, 0.6)),
        }
    }
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

fn block(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    (x.abs() - half_width).max(y.abs() - half_height)
}

/// Returns the distance from an equilateral triangle with one corner up (y grows upwards here), `inradius`
/// from the origin to each side.
fn triangle(x: f32, y: f32, inradius: f32) -> f32 {
    (0.866 * x.abs() + 0.5 * y).max(-y) - inradius
}

fn hexagon(x: f32, y: f32, inradius: f32) -> f32 {
    (0.866 * x.abs() + 0.5 * y.abs()).max(y.abs()) - inradius
}

/// Joins two discs to the upper sides of a square that stands on its corner.
fn heart(x: f32, y: f32) -> f32 {
    const HALF: f32 = 0.58;
    let (u, v) = (0.707 * (x.abs() + y), 0.707 * (y - x.abs()));
    let square = u.abs().max(v.abs()) - HALF;
    square.min(length(u - HALF, v) - HALF)
}

/// Makes five points by folding the plane into the half of one of them.
fn star(x: f32, y: f32) -> f32 {
    // Two mirrors through the origin, at 36° on either side of the lower point's axis.
    let (mut x, mut y) = (x.abs(), y);
    for a in [0.809, -0.809] {
        let b = -0.588;
        let beyond = (a * x + b * y).max(0.0) * 2.0;
        (x, y) = (x - beyond * a, y - beyond * b);
    }
    // Normal of the side from the point (0, 1.15) to the notch at 36° and radius 0.5.
    let (nx, ny) = (0.9326, 0.361);
    x.abs() * nx + (y - 1.15) * ny
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_covers_a_good_part_of_its_square_and_stays_inside_it() {
        for shape in Shape::ALL {
            let steps = || (-65..65).map(|i| (i as f32 + 0.5) / 50.0);
            let points = steps().flat_map(|y| steps().map(move |x| (x, y)));
            let inside: Vec<_> = points.filter(|&(x, y)| shape.distance(x, y) < 0.0).collect();
            let area = inside.len() as f32 / 2500.0;
            assert!((1.4..3.2).contains(&area), "{shape:?} has area {area}");
            assert!(inside.iter().all(|&(x, y)| length(x, y) < 1.25), "{shape:?} reaches too far");
        }
    }
}
