//! Chooses the strength of the penalty, and fits the classifier.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::{
    lbfgs::{Bounds, Minimum, minimize},
    objective::{Objective, Standard, for_blocks},
};
use crate::eval::{
    features::Features,
    tally::{Report, Tally},
};
use crate::failure;
use dataset::Random;

/// Returns the strengths of the L2 penalty that are tried, from strong to weak: two a decade, from 10 down to
/// 1e-6.
fn strengths() -> impl Iterator<Item = f64> {
    (-12..=2).rev().map(|half: i32| 10f64.powf(f64::from(half) / 2.0))
}

/// The share of each class's samples that is held out to choose the strength.
const HELD_OUT: f64 = 0.2;

const BOUNDS: Bounds = Bounds { gradient: 1e-6, iterations: 2_000 };

/// The result of a strength on the held-out samples.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::eval) struct Tried {
    /// The strength of the penalty. The objective is the mean cross-entropy plus half the strength times the
    /// squared norm of the weights.
    pub(in crate::eval) strength: f64,
    /// The accuracy on the held-out samples.
    pub(in crate::eval) top1: f64,
    /// The mean cross-entropy of the held-out samples.
    pub(in crate::eval) entropy: f64,
    iterations: u64,
    converged: bool,
}

/// The details of a fit, for the file of results.
#[derive(Debug, Serialize)]
pub(in crate::eval) struct Details {
    solver: &'static str,
    /// Whether each channel has mean 0 and deviation 1 over the training samples before the penalty is
    /// applied.
    standardized: bool,
    /// The strength with the smallest cross-entropy on the held-out samples.
    pub(in crate::eval) strength: f64,
    /// The strength as scikit-learn's `C`.
    c: f64,
    /// The number of held-out samples.
    held_out: u64,
    tried: Vec<Tried>,
    /// The minimum of the objective over all training samples.
    pub(in crate::eval) objective: f64,
    pub(in crate::eval) iterations: u64,
    pub(in crate::eval) gradient_norm: f64,
    pub(in crate::eval) converged: bool,
    pub(in crate::eval) train_top1: f64,
}

/// A fitted classifier.
pub(in crate::eval) struct Logistic {
    /// Weights (classes, width) and biases (classes) for features that are not standardized.
    parameters: (Tensor, Tensor),
    /// The class of each output.
    classes: Tensor,
    /// The number of classes, including those without training samples.
    class_count: u32,
    device: Device,
    pub(in crate::eval) details: Details,
}

impl Logistic {
    /// Fits a classifier to features of training samples with labels below `classes`. Classes without
    /// training samples are never predicted.
    ///
    /// # Errors
    ///
    /// If no class has two training samples, or the features cannot be read.
    pub(in crate::eval) fn fit(features: &Features, classes: u32, seed: u64, device: Device) -> Result<Self> {
        let (present, targets) = present(&features.labels);
        let held_out = held_out(&targets, present.numel() as i64, seed);
        let held = held_out.sum(Kind::Int64).int64_value(&[]);
        if held == 0 {
            return Err(failure!(
                "no class has two labelled training samples, so none can be held out";
                "name more shards with --shards"
            ));
        }
        let standard = Standard::of(features, device)?;
        let (targets, held_out) = (targets.to_device(device), held_out.to_device(device));
        let parts = [held_out.logical_not(), held_out.ones_like()].map(|part| part.to_kind(Kind::Double));
        let mut objective = Objective {
            features,
            standard: &standard,
            targets: &targets,
            classes: present.numel() as i64,
            part: &parts[0],
            strength: 0.0,
            device,
        };
        let (tried, start) = choose(&mut objective, &held_out)?;
        objective.part = &parts[1];
        objective.strength = best(&tried).strength;
        let minimum = minimize(&start, BOUNDS, |point| objective.at(point))?;
        let parameters = standard.undo(&minimum.point, objective.classes);
        let details = Details::of(&minimum, tried, held.cast_unsigned(), features.len());
        let mut fitted = Self { parameters, classes: present, class_count: classes, device, details };
        fitted.details.train_top1 = fitted.judge(features)?.top1;
        fitted.details.log();
        Ok(fitted)
    }

    /// Classifies all samples and reports the accuracy.
    pub(in crate::eval) fn judge(&self, features: &Features) -> Result<Report> {
        let (weights, biases) = &self.parameters;
        let mut tally = Tally::default();
        let classes = self.classes.to_device(self.device);
        for_blocks(features, self.device, |start, rows| {
            let labels = features.labels.narrow(0, start, rows.size()[0]).to_device(self.device);
            let scores = rows.matmul(&weights.tr()) + biases;
            let none = (Kind::Double, self.device);
            let all = Tensor::full([rows.size()[0], i64::from(self.class_count)], f64::NEG_INFINITY, none);
            tally.add(&all.index_copy(1, &classes, &scores), &labels);
        })?;
        Ok(tally.report(self.class_count))
    }
}

impl Details {
    /// Describes the fit to `samples` at the best strength, before the training accuracy is known.
    fn of(minimum: &Minimum, tried: Vec<Tried>, held_out: u64, samples: i64) -> Self {
        let strength = best(&tried).strength;
        Self {
            solver: "lbfgs",
            standardized: true,
            strength,
            c: 1.0 / (strength * samples as f64),
            held_out,
            tried,
            objective: minimum.value,
            iterations: minimum.iterations,
            gradient_norm: minimum.gradient_norm,
            converged: minimum.converged,
            train_top1: 0.0,
        }
    }

    /// Logs the result, and warnings about it.
    fn log(&self) {
        let Self { strength, iterations, gradient_norm, objective, .. } = self;
        tracing::info!(
            "logistic regression: strength {strength:.1e}, {iterations} iterations, loss {objective:.6}, gradient norm {gradient_norm:.1e}"
        );
        if !self.converged {
            tracing::warn!(
                "logistic regression did not converge: the gradient's norm is {gradient_norm:.1e}"
            );
        }
        let edges = [self.tried.first(), self.tried.last()];
        if edges.into_iter().flatten().any(|edge| edge.strength.to_bits() == strength.to_bits()) {
            tracing::warn!(
                "the strength {strength:.1e} is at the end of the range that was tried: one beyond it may be better"
            );
        }
    }
}

/// Fits at every strength, starting from the previous minimum. Returns the results on held-out samples, and
/// the parameters of the best strength.
fn choose(objective: &mut Objective, held_out: &Tensor) -> Result<(Vec<Tried>, Tensor)> {
    let (mut tried, mut point) = (Vec::<Tried>::new(), objective.zeros());
    let mut kept = point.shallow_clone();
    for strength in strengths() {
        objective.strength = strength;
        let minimum = minimize(&point, BOUNDS, |point| objective.at(point))?;
        point = minimum.point;
        let Scores { top1, entropy } = held_out_scores(objective, &point, held_out)?;
        let (iterations, converged) = (minimum.iterations, minimum.converged);
        tried.push(Tried { strength, top1, entropy, iterations, converged });
        if best(&tried).strength.to_bits() == strength.to_bits() {
            kept = point.shallow_clone();
        }
    }
    Ok((tried, kept))
}

/// Returns the result with the smallest cross-entropy, which depends less on single samples than the
/// accuracy.
fn best(tried: &[Tried]) -> Tried {
    let all = tried.iter();
    *all.min_by(|a, b| a.entropy.total_cmp(&b.entropy)).expect("some strength was tried")
}

/// The results of a fit on the held-out samples.
struct Scores {
    /// The accuracy.
    top1: f64,
    /// The mean cross-entropy.
    entropy: f64,
}

/// Computes the results of the parameters `point` on the held-out samples.
fn held_out_scores(objective: &Objective, point: &Tensor, held_out: &Tensor) -> Result<Scores> {
    let (weights, biases) = objective.standard.undo(point, objective.classes);
    let mut sums = [0; 2].map(|_| Tensor::zeros([], (Kind::Double, objective.device)));
    for_blocks(objective.features, objective.device, |start, rows| {
        let count = rows.size()[0];
        let targets = objective.targets.narrow(0, start, count);
        let held = held_out.narrow(0, start, count).to_kind(Kind::Double);
        let log = (rows.matmul(&weights.tr()) + &biases).log_softmax(1, Kind::Double);
        sums[0] += log.argmax(1, false).eq_tensor(&targets).to_kind(Kind::Double).dot(&held);
        sums[1] -= log.gather(1, &targets.unsqueeze(1), false).squeeze_dim(1).dot(&held);
    })?;
    let held = held_out.sum(Kind::Double).double_value(&[]);
    let [top1, entropy] = sums.map(|sum| sum.double_value(&[]) / held);
    Ok(Scores { top1, entropy })
}

/// Returns the classes that occur, ascending, and the place of each sample's class among them, both on the
/// CPU.
fn present(labels: &Tensor) -> (Tensor, Tensor) {
    let labels = Vec::<i64>::try_from(labels).expect("a number for each sample");
    let classes: BTreeSet<_> = labels.iter().copied().collect();
    let classes: Vec<_> = classes.into_iter().collect();
    let place = |label: &i64| classes.partition_point(|class| class < label) as i64;
    let places: Vec<_> = labels.iter().map(place).collect();
    (Tensor::from_slice(&classes), Tensor::from_slice(&places))
}

/// Chooses the held-out samples: the same share of each class, but at least one of a class with two samples.
/// Returns booleans (n) on the CPU.
fn held_out(targets: &Tensor, classes: i64, seed: u64) -> Tensor {
    let targets = Vec::<i64>::try_from(targets).expect("a number for each sample");
    let mut of_class = vec![Vec::new(); classes as usize];
    for (number, &target) in targets.iter().enumerate() {
        of_class[target as usize].push(number);
    }
    let (mut held, mut random) = (vec![false; targets.len()], Random::after(seed, 0));
    for mut members in of_class {
        let most = members.len() - 1;
        let count = ((HELD_OUT * members.len() as f64).round() as usize).max(1).min(most);
        // The first `count` of a shuffled class (Fisher, Yates).
        for place in 0..count {
            let other = place + random.below(members.len() - place);
            members.swap(place, other);
            held[members[place]] = true;
        }
    }
    Tensor::from_slice(&held)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
