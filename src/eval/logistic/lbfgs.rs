//! L-BFGS (Nocedal 1980) with a line search for the strong Wolfe conditions (Nocedal, Wright 2006, algorithms
//! 3.5 and 3.6).

use std::collections::VecDeque;

use anyhow::Result;
use tch::Tensor;

/// The number of steps whose curvature is remembered.
const MEMORY: usize = 10;
/// The share of the decrease predicted by the slope that a step must achieve (the first Wolfe condition).
const DECREASE: f64 = 1e-4;
/// The share of the slope that may remain after a step (the second Wolfe condition).
const CURVATURE: f64 = 0.9;
/// The most trials along a direction.
const TRIALS: u32 = 40;

/// The conditions that end a minimization.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The norm of the gradient below which it has converged.
    pub(super) gradient: f64,
    /// The most iterations.
    pub(super) iterations: u64,
}

/// The end of a minimization.
#[derive(Debug)]
pub(super) struct Minimum {
    pub(super) point: Tensor,
    pub(super) value: f64,
    pub(super) gradient_norm: f64,
    pub(super) iterations: u64,
    /// Whether the norm of the gradient is within the bound.
    pub(super) converged: bool,
}

/// Minimizes a function that returns its value and gradient, from the point `start`, a vector in f64.
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

/// A point with the function's value and gradient.
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

/// A step and the change of the gradient along it.
#[derive(Debug)]
struct Pair {
    step: Tensor,
    change: Tensor,
    /// One over the product of both.
    inverse: f64,
}

/// The last steps.
#[derive(Debug, Default)]
struct Memory(VecDeque<Pair>);

impl Memory {
    fn add(&mut self, from: &Place, to: &Place) {
        let (step, change) = (&to.point - &from.point, &to.gradient - &from.gradient);
        let product = dot(&step, &change);
        if product > 0.0 {
            self.0.push_back(Pair { step, change, inverse: 1.0 / product });
        }
        if self.0.len() > MEMORY {
            self.0.pop_front();
        }
    }

    /// Returns the direction of the next step and the first distance to try. The direction is minus the
    /// inverse curvature, as far as it is known, times the gradient.
    fn direction(&mut self, gradient: &Tensor, gradient_norm: f64) -> (Tensor, f64) {
        let Some(Pair { step, change, .. }) = self.0.back() else {
            return (-gradient, 1.0 / gradient_norm.max(1.0));
        };
        let scale = dot(step, change) / dot(change, change);
        let mut direction = -gradient;
        let mut along = Vec::with_capacity(self.0.len());
        for Pair { step, change, inverse } in self.0.iter().rev() {
            let alpha = inverse * dot(step, &direction);
            direction -= change * alpha;
            along.push(alpha);
        }
        direction *= scale;
        for (Pair { step, change, inverse }, alpha) in self.0.iter().zip(along.iter().rev()) {
            direction += step * (alpha - inverse * dot(change, &direction));
        }
        if dot(&direction, gradient) < 0.0 {
            return (direction, 1.0);
        }
        self.0.clear(); // rounding errors have accumulated
        (-gradient, 1.0 / gradient_norm.max(1.0))
    }
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.dot(b).double_value(&[])
}

/// A point along a direction.
struct Trial {
    distance: f64,
    slope: f64,
    place: Place,
}

/// The interval along a direction that is searched.
struct Bracket {
    /// The best point so far.
    low: Trial,
    /// The other end of the interval, once a point beyond the minimum is known.
    high: Option<End>,
}

/// An end of the interval.
#[derive(Clone, Copy)]
struct End {
    distance: f64,
    value: f64,
    slope: f64,
}

impl Trial {
    fn end(&self) -> End {
        End { distance: self.distance, value: self.place.value, slope: self.slope }
    }
}

impl Bracket {
    /// Narrows the interval down, or moves it forward, by a new point.
    fn add(&mut self, trial: Trial, is_better: bool) {
        if !is_better {
            self.high = Some(trial.end());
            return;
        }
        // The minimum lies between the two points if the value rises again towards the other end.
        let towards = self.high.map_or(1.0, |high| high.distance - self.low.distance);
        if trial.slope * towards >= 0.0 {
            self.high = Some(self.low.end());
        }
        self.low = trial;
    }

    /// Returns the next distance to try.
    fn next(&self, distance: f64) -> f64 {
        match self.high {
            None => 2.0 * distance,
            Some(high) => between(&self.low, high),
        }
    }
}

/// Searches along a direction for a point that satisfies the strong Wolfe conditions. Returns the best point
/// after [`TRIALS`] trials, or none if none of them is lower than the start.
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
    let mut bracket = Bracket { low: Trial { distance: 0.0, slope, place: origin }, high: None };
    let mut distance = first;
    for _ in 0..TRIALS {
        let trial = at(distance)?;
        let is_better = is_lower(&trial) && trial.place.value < bracket.low.place.value;
        if is_better && is_flat(&trial) {
            return Ok(Some(trial.place));
        }
        bracket.add(trial, is_better);
        distance = bracket.next(distance);
    }
    let low = bracket.low;
    Ok((low.distance > 0.0).then_some(low.place))
}

/// Returns the minimum of the cubic through both ends if it is well inside of them, otherwise the middle.
fn between(low: &Trial, high: End) -> f64 {
    let End { distance, value, slope } = high;
    let width = distance - low.distance;
    let middle = low.distance + 0.5 * width;
    let a = low.slope + slope - 3.0 * (low.place.value - value) / (low.distance - distance);
    let b = (a * a - low.slope * slope).sqrt() * width.signum();
    let cubic = distance - width * (slope + b - a) / (slope - low.slope + 2.0 * b);
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
    fn the_minimum_of_rosenbrocks_function_is_found() {
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
    fn the_minimum_of_an_ill_conditioned_quadratic_is_found() {
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
    fn a_minimization_without_convergence_says_so_and_never_increases_the_value() {
        let value = |x: f64| (x - 3.0).powi(4);
        let function = |at: &Tensor| {
            Ok((value(at.double_value(&[0])), vector(&[4.0 * (at.double_value(&[0]) - 3.0).powi(3)])))
        };
        let bounds = Bounds { gradient: 0.0, iterations: 2 };
        let found = minimize(&vector(&[100.0]), bounds, function).unwrap();
        assert!(!found.converged && found.iterations == 2 && found.value < value(100.0), "{found:?}");
        // At the minimum no step lowers the value, and the minimization ends.
        let bounds = Bounds { gradient: -1.0, iterations: 1_000 };
        let found = minimize(&vector(&[3.0]), bounds, function).unwrap();
        assert!(found.iterations == 0 && found.value.abs() < 1e-30, "{found:?}");
    }

    /// The function is not finite for negative numbers.
    #[test]
    fn each_step_satisfies_both_wolfe_conditions() {
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
