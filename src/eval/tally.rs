//! Counts of correct and wrong predictions.

use std::collections::BTreeMap;

use serde::Serialize;
use tch::{Kind, Tensor};

/// Counts of predictions, added batch by batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    samples: u64,
    top1: u64,
    top5: u64,
    /// The number of samples by class and predicted class.
    confusion: BTreeMap<(u32, u32), u64>,
}

/// The accuracy of a classifier on labelled samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The share of the samples whose class is ranked first.
    pub top1: f64,
    /// The share of the samples whose class is among the first five.
    pub top5: f64,
    /// The number of labelled samples.
    pub samples: u64,
    /// The number of classes of the classifier.
    pub classes: u32,
    /// The accuracy on the samples of each class; none for a class without samples.
    pub per_class: Vec<Option<f64>>,
    /// The confusion matrix without its zeros: class, predicted class, number of samples.
    pub confusion: Vec<(u32, u32, u64)>,
}

impl Tally {
    /// Adds scores (n, classes) of samples with labels (n), where a label below 0 means none. A class with
    /// the score −∞ is not among the first five.
    ///
    /// # Panics
    /// If the scores cannot be read.
    pub fn add(&mut self, scores: &Tensor, labels: &Tensor) {
        let five = scores.size()[1].min(5);
        let (scores, best) = scores.topk(five, 1, true, true);
        self.add_ranked(&best.masked_fill(&scores.eq(f64::NEG_INFINITY), -1), labels);
    }

    /// Adds ranked classes (n, m), the likeliest first, of samples with labels (n). −1 stands for no class.
    /// Ranks beyond the fifth are ignored.
    ///
    /// # Panics
    /// If the classes cannot be read.
    pub fn add_ranked(&mut self, best: &Tensor, labels: &Tensor) {
        let labelled = labels.ge(0).nonzero().view(-1);
        let (best, labels) = (best.index_select(0, &labelled), labels.index_select(0, &labelled));
        if labels.numel() == 0 {
            return;
        }
        let hits = best.eq_tensor(&labels.unsqueeze(1)).to_kind(Kind::Int64);
        let count = |hits: Tensor| hits.sum(Kind::Int64).int64_value(&[]).cast_unsigned();
        self.top1 += count(hits.narrow(1, 0, 1));
        self.top5 += count(hits.narrow(1, 0, hits.size()[1].min(5)));
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor).expect("a number for each sample");
        let predicted = numbers(&best.narrow(1, 0, 1).view(-1));
        for (label, predicted) in numbers(&labels).into_iter().zip(predicted) {
            *self.confusion.entry((label as u32, predicted as u32)).or_default() += 1;
            self.samples += 1;
        }
    }

    /// Reports the accuracy on the samples added so far.
    pub fn report(&self, classes: u32) -> Report {
        let share = |hits: u64| hits as f64 / self.samples as f64;
        let counts = self.confusion.iter().map(|(&(class, predicted), &count)| (class, predicted, count));
        Report {
            top1: share(self.top1),
            top5: share(self.top5),
            samples: self.samples,
            classes,
            per_class: (0..classes).map(|class| self.accuracy(class)).collect(),
            confusion: counts.collect(),
        }
    }

    /// Returns the accuracy on the samples of a class; none if it has none.
    fn accuracy(&self, class: u32) -> Option<f64> {
        let samples: u64 = self.confusion.range((class, 0)..=(class, u32::MAX)).map(|(_, count)| count).sum();
        let hits = self.confusion.get(&(class, class)).copied().unwrap_or(0);
        (samples > 0).then(|| hits as f64 / samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_confusion_count_labelled_samples_only() {
        let scores = Tensor::from_slice2(&[
            [9.0f32, 1.0, 2.0, 3.0, 4.0, 5.0],
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            [9.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            [9.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        ]);
        let mut tally = Tally::default();
        tally.add(&scores, &Tensor::from_slice(&[0i64, 4, 1, -1]));
        tally.add(&scores.narrow(0, 1, 1), &Tensor::from_slice(&[-1i64]));
        let report = tally.report(6);
        assert_eq!((report.samples, report.confusion), (3, vec![(0, 0, 1), (1, 0, 1), (4, 5, 1)]));
        assert!((report.top1 - 1.0 / 3.0).abs() < 1e-12 && (report.top5 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(report.per_class, [Some(1.0), Some(0.0), None, None, Some(0.0), None]);
    }
}
