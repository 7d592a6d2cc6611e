//! Which classes were taken for which.

use std::collections::BTreeMap;

use serde::Serialize;
use tch::{Kind, Tensor};

/// Counts of predictions, batch after batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    samples: u64,
    top1: u64,
    top5: u64,
    /// How often a sample of a class (first) was taken for one (second).
    taken_for: BTreeMap<(u32, u32), u64>,
}

/// What a classifier reached on labelled samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Share of the samples whose class comes first.
    pub top1: f64,
    /// Share of those whose class is among the first five.
    pub top5: f64,
    /// Labelled samples.
    pub samples: u64,
    /// Classes of the classifier.
    pub classes: u32,
    /// The share of each class's samples that are recognized; none where it has no sample.
    pub per_class: Vec<Option<f64>>,
    /// The confusion matrix, without its zeros: class, what it was taken for, how often.
    pub confusion: Vec<(u32, u32, u64)>,
}

impl Tally {
    /// Takes in scores (n, classes), the larger the likelier, of samples with these labels (n); those below 0 have none. A class
    /// whose score is −∞ is not among the first five.
    ///
    /// # Panics
    /// If the scores cannot be read.
    pub fn add(&mut self, scores: &Tensor, labels: &Tensor) {
        let five = scores.size()[1].min(5);
        let (scores, best) = scores.topk(five, 1, true, true);
        self.add_ranked(&best.masked_fill(&scores.eq(f64::NEG_INFINITY), -1), labels);
    }

    /// The same of classes (n, m), the likeliest first, −1 where there are no more; of the first five at most.
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
        for (label, taken) in numbers(&labels).into_iter().zip(numbers(&best.narrow(1, 0, 1).view(-1))) {
            *self.taken_for.entry((label as u32, taken as u32)).or_default() += 1;
            self.samples += 1;
        }
    }

    /// The shares so far.
    pub fn report(&self, classes: u32) -> Report {
        let share = |hits: u64| hits as f64 / self.samples as f64;
        let per_class = (0..classes).map(|class| {
            let of: u64 = self.taken_for.range((class, 0)..=(class, u32::MAX)).map(|(_, count)| count).sum();
            let right = self.taken_for.get(&(class, class)).copied().unwrap_or(0);
            (of > 0).then(|| right as f64 / of as f64)
        });
        Report {
            top1: share(self.top1),
            top5: share(self.top5),
            samples: self.samples,
            classes,
            per_class: per_class.collect(),
            confusion: self.taken_for.iter().map(|(&(class, taken), &count)| (class, taken, count)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_confusion_are_counted_over_the_labelled() {
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
