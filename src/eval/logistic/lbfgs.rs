//! L-BFGS (Nocedal 1980) with a line search for the strong Wolfe conditions (Nocedal, Wright 2006, algorithms 3.5 and 3.6).

use std::collections::VecDeque;

use anyhow::Result;
use tch::Tensor;

/// Steps whose curvature is remembered.
const MEMORY: usize = 10;
/// Share of the foretold decrease that a step has to bring.
const DECREASE: f64 = 1e-4;
/// Share of the slope that may be left after a step.
const CURVATURE: f64 = 0.9;
/// Values that are tried along a direction at most.
const TRIALS: u32 = 40;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The norm of the gradient that is small enough.
    pub(super) gradient: f64,
    /// Iterations at most.
    pub(super) iterations: u64,
}

/// Where a search ended.
#[derive(Debug)]
pub(super) struct Minimum {
    pub(super) point: Tensor,
    pub(super) value: f64,
    pub(super) gradient_norm: f64,
    pub(super) iterations: u64,
    /// Whether the gradient is as small as was asked for.
    pub(super) converged: bool,
}

/// Descends from a point, a vector in f64, along a function that gives its value and gradient.
pub(super) fn minimize(
    start: &Tensor,
    bounds: Bounds,
    mut function: impl FnMut(&Tensor) -> Result<(f64, Tensor)>,
) -> Result<Minimum> {
    let mut here = Place::at(start.copy(), &mut function)?;
    let mut memory = Memory::default();
    for iteration in 0.. {
        let gradient_norm = here.gradient.norm().double_value(&[]);
        let converged = gradient_norm <= bounds.gradient;
        let next = if converged || iteration == bounds.iterations {
            None
        } else {
            let (direction, first) = memory.direction(&here.gradient, gradient_norm);
            search(&here, &direction, first, &mut function)?
        };
        let Some(next) = next else {
            let Place { point, value, .. } = here;
            return Ok(Minimum { point, value, gradient_norm, iterations: iteration, converged });
        };
        memory.add(&here, &next);
        here = next;
    }
    unreachable!("the iterations are bounded")
}

/// A point with what the function is there.
#[derive(Debug)]
struct Place {
    point: Tensor,
    value: f64,
    gradient: Tensor,
}

impl Place {
    fn at(point: Tensor, function: &mut impl FnMut(&Tensor) -> Result<(f64, Tensor)>) -> Result<Self> {
        let (value, gradient) = function(&point)?;
        Ok(Self { point, value, gradient })
    }
}

/// The last steps, the changes of the gradient along them, and one over the product of both.
#[derive(Debug, Default)]
struct Memory(VecDeque<(Tensor, Tensor, f64)>);

impl Memory {
    fn add(&mut self, from: &Place, to: &Place) {
        let (step, change) = (&to.point - &from.point, &to.gradient - &from.gradient);
        let product = dot(&step, &change);
        if product > 0.0 {
            self.0.push_back((step, change, 1.0 / product));
        }
        if self.0.len() > MEMORY {
            self.0.pop_front();
        }
    }

    /// Where to go on, and how far at first: minus the inverse curvature, as far as it is known, times the gradient.
    fn direction(&mut self, gradient: &Tensor, gradient_norm: f64) -> (Tensor, f64) {
        let Some((step, change, _)) = self.0.back() else {
            return (-gradient, 1.0 / gradient_norm.max(1.0));
        };
        let scale = dot(step, change) / dot(change, change);
        let mut direction = -gradient;
        let mut along = Vec::with_capacity(self.0.len());
        for (step, change, inverse) in self.0.iter().rev() {
            let alpha = inverse * dot(step, &direction);
            direction -= change * alpha;
            along.push(alpha);
        }
        direction *= scale;
        for ((step, change, inverse), alpha) in self.0.iter().zip(along.iter().rev()) {
            direction += step * (alpha - inverse * dot(change, &direction));
        }
        if dot(&direction, gradient) < 0.0 {
            return (direction, 1.0);
        }
        self.0.clear(); // rounding has spoilt it
        (-gradient, 1.0 / gradient_norm.max(1.0))
    }
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.dot(b).double_value(&[])
}

/// What was found so far along a direction.
struct Trial {
    distance: f64,
    slope: f64,
    place: Place,
}

/// A place along the direction where the value has decreased and the slope has flattened enough; none where rounding hides any
/// decrease.
fn search(
    start: &Place,
    direction: &Tensor,
    first: f64,
    function: &mut impl FnMut(&Tensor) -> Result<(f64, Tensor)>,
) -> Result<Option<Place>> {
    let slope = dot(&start.gradient, direction);
    let mut at = |distance: f64| -> Result<Trial> {
        let place = Place::at(&start.point + direction * distance, function)?;
        let slope = dot(&place.gradient, direction);
        Ok(Trial { distance, slope, place })
    };
    let is_lower = |trial: &Trial| trial.place.value <= start.value + DECREASE * slope * trial.distance;
    let is_flat = |trial: &Trial| trial.slope.abs() <= -CURVATURE * slope;
    let origin = Place {
        point: start.point.shallow_clone(),
        value: start.value,
        gradient: start.gradient.shallow_clone(),
    };
    // The best so far, and beyond the minimum, once that is known.
    let mut low = Trial { distance: 0.0, slope, place: origin };
    let mut high: Option<(f64, f64, f64)> = None;
    let mut distance = first;
    for _ in 0..TRIALS {
        let trial = at(distance)?;
        let is_better = is_lower(&trial) && trial.place.value < low.place.value;
        if is_better && is_flat(&trial) {
            return Ok(Some(trial.place));
        }
        if is_better {
            // The minimum lies between both where the value rises again towards the other bound, or beyond what is known.
            let towards = high.map_or(1.0, |(high, ..)| high - low.distance);
            if trial.slope * towards >= 0.0 {
                high = Some((low.distance, low.place.value, low.slope));
            }
            low = trial;
        } else {
            high = Some((trial.distance, trial.place.value, trial.slope));
        }
        distance = match high {
            None => 2.0 * distance,
            Some(high) => between(&low, high),
        };
    }
    // Less than was asked for, but a decrease.
    Ok((low.distance > 0.0).then_some(low.place))
}

/// The minimum of the cubic through both ends, well inside of them.
fn between(low: &Trial, (high, value, slope): (f64, f64, f64)) -> f64 {
    let width = high - low.distance;
    let middle = low.distance + 0.5 * width;
    let a = low.slope + slope - 3.0 * (low.place.value - value) / (low.distance - high);
    let b = (a * a - low.slope * slope).sqrt() * width.signum();
    let cubic = high - width * (slope + b - a) / (slope - low.slope + 2.0 * b);
    let share = (cubic - low.distance) / width;
    if share.is_finite() && (0.1..=0.9).contains(&share) { cubic } else { middle }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const BOUNDS: Bounds = Bounds { gradient: 1e-9, iterations: 500 };

    fn vector(values: &[f64]) -> Tensor {
        Tensor::from_slice(values)
    }

    #[test]
    fn the_valley_of_rosenbrock_is_followed_to_its_end() {
        let function = |at: &Tensor| {
            let [x, y] = [at.double_value(&[0]), at.double_value(&[1])];
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let gradient = vector(&[-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)]);
            Ok((value, gradient))
        };
        let found = minimize(&vector(&[-1.2, 1.0]), BOUNDS, function).unwrap();
        assert!(found.converged && found.iterations < 60, "{found:?}");
        assert!((found.point - 1.0).abs().max().double_value(&[]) < 1e-8);
    }

    #[test]
    fn a_bowl_of_a_thousand_times_the_curvature_one_way_is_solved() {
        let scales = Tensor::logspace(-3.0, 0.0, 30, 10.0, (Kind::Double, Device::Cpu));
        let target = Tensor::arange(30, (Kind::Double, Device::Cpu)) - 15.0;
        let function = |at: &Tensor| {
            let off = at - &target;
            let value = 0.5 * (&scales * off.square()).sum(Kind::Double).double_value(&[]);
            Ok((value, &scales * off))
        };
        let found = minimize(&Tensor::zeros([30], (Kind::Double, Device::Cpu)), BOUNDS, function).unwrap();
        assert!(found.converged && found.value < 1e-14, "{found:?}");
    }

    #[test]
    fn a_search_that_may_not_go_on_says_so_and_never_goes_up() {
        let value = |x: f64| (x - 3.0).powi(4);
        let function = |at: &Tensor| {
            Ok((value(at.double_value(&[0])), vector(&[4.0 * (at.double_value(&[0]) - 3.0).powi(3)])))
        };
        let bounds = Bounds { gradient: 0.0, iterations: 2 };
        let found = minimize(&vector(&[100.0]), bounds, function).unwrap();
        assert!(!found.converged && found.iterations == 2 && found.value < value(100.0), "{found:?}");
        // At the minimum there is nothing to be gained: it ends instead of searching for ever.
        let bounds = Bounds { gradient: -1.0, iterations: 1_000 };
        let found = minimize(&vector(&[3.0]), bounds, function).unwrap();
        assert!(found.iterations == 0 && found.value.abs() < 1e-30, "{found:?}");
    }

    /// Both Wolfe conditions, on a function with a wall that is not finite.
    #[test]
    fn each_step_lowers_the_value_and_flattens_the_slope() {
        let function = |at: &Tensor| {
            let x = at.double_value(&[0]);
            Ok((-x.ln() + 4.0 * x, vector(&[4.0 - 1.0 / x])))
        };
        for (from, towards) in [(1e-3, 1.0), (2.0, -1.0), (0.5, -30.0)] {
            let start = Place::at(vector(&[from]), &mut { function }).unwrap();
            let direction = vector(&[towards]);
            let slope = dot(&start.gradient, &direction);
            let found = search(&start, &direction, 1.0, &mut { function }).unwrap().unwrap();
            let distance = (found.point.double_value(&[0]) - from) / towards;
            assert!(found.value <= start.value + DECREASE * slope * distance, "from {from}");
            assert!(dot(&found.gradient, &direction).abs() <= -CURVATURE * slope, "from {from}");
        }
    }
}
