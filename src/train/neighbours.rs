//! The neighbours of validation samples: the accuracy of their vote, and what the report shows of them.

use std::time::Instant;

use anyhow::{Context, Result};
use shards::ShardSet;
use tch::{Kind, Tensor};

use super::Run;
use crate::{
    eval::{self, features::Features, knn::Vote},
    report::{
        findings::{Findings, Named, Neighbour, Query},
        pairs,
    },
    run::folder::RunFolder,
    views::Views,
};

/// The number of neighbours that vote.
const K: u32 = 20;

/// Features of samples, with the samples that they belong to.
#[derive(Debug)]
pub(super) struct Known {
    /// Features (n, width) on the CPU.
    pub(super) features: Tensor,
    /// Label and number in their set of each sample (n, 2), i64, on the CPU.
    pub(super) samples: Tensor,
}

impl Known {
    /// Returns the labels (n).
    pub(super) fn labels(&self) -> Tensor {
        self.samples.select(1, 0)
    }

    /// Returns the numbers (n) of the samples in their set.
    fn numbers(&self) -> Result<Vec<u64>> {
        let numbers = Vec::<i64>::try_from(self.samples.select(1, 1).contiguous())?;
        Ok(numbers.into_iter().map(i64::cast_unsigned).collect())
    }

    fn stored(&self) -> Result<Features> {
        Features::of(&self.features, &self.labels().contiguous())
    }
}

/// Returns label and number (n, 2) of the samples of a batch, whose process begins with sample `first`.
pub(super) fn samples(views: &Views, first: i64) -> Tensor {
    Tensor::stack(&[views.labels.shallow_clone(), &views.indices + first], 1)
}

/// The training samples among which neighbours are sought.
pub(super) struct Gallery<'a> {
    /// Their features; their numbers are places in `indices`.
    pub(super) known: &'a Known,
    /// Their indices in the training set.
    pub(super) indices: &'a [u64],
}

impl Run {
    /// Returns the top-1 accuracy of the vote of 20 neighbours in the gallery, and writes what it has found into the run
    /// folder. A file that cannot be written costs a warning.
    pub(super) fn neighbours(&self, gallery: &Gallery, queries: &Known, folder: &RunFolder) -> Result<f64> {
        let vote = Vote { k: vec![i64::from(K)], ..Vote::default() };
        let classes = self.data.classes.context("neighbours need labels")?;
        let (stored, asked) = (gallery.known.stored()?, queries.stored()?);
        let report = self.within_memory(|| {
            let mut reports = eval::neighbours(&vote, &stored, &asked, classes, self.device)?;
            reports.pop().context("a result for each number of neighbours")
        })?;
        let note = || -> Result<()> {
            let nearest = self.nearest(gallery, &stored, queries)?;
            Findings::of(self.trainer.step_count(), K, &report, nearest).write(&folder.validation)
        };
        let begin = Instant::now();
        let noted = note();
        tracing::debug!("the neighbours of some validation samples are noted in {:.1?}", begin.elapsed());
        if let Err(error) = noted {
            tracing::warn!("the neighbours of validation samples are not noted: {error:#}");
        }
        Ok(report.top1)
    }

    /// Returns some validation samples, evenly spread, with the training samples nearest to them.
    fn nearest(&self, gallery: &Gallery, stored: &Features, queries: &Known) -> Result<Vec<Query>> {
        let Some(validation) = &self.data.validation else { return Ok(Vec::new()) };
        let all = queries.samples.size()[0].cast_unsigned();
        let chosen = pairs::evenly(all, Findings::QUERIES);
        let chosen: Vec<_> = chosen.into_iter().map(u64::cast_signed).collect();
        let asked = queries.features.index_select(0, &Tensor::from_slice(&chosen));
        let (cosines, places) = eval::knn::nearest_to(stored, &asked, Findings::NEAREST)?;
        let cosines = Vec::<Vec<f64>>::try_from(cosines.to_kind(Kind::Double))?;
        let places = Vec::<Vec<i64>>::try_from(places)?;
        let (own, known) = (queries.numbers()?, gallery.known.numbers()?);
        let index = |place: i64| gallery.indices.get(known[place as usize] as usize).copied().unwrap_or(0);
        let query = |((place, cosines), places): ((i64, Vec<f64>), Vec<i64>)| Query {
            sample: named(validation, own[place as usize]),
            nearest: places
                .into_iter()
                .zip(cosines)
                .map(|(place, cosine)| Neighbour { sample: named(&self.data.train, index(place)), cosine })
                .collect(),
        };
        Ok(chosen.into_iter().zip(cosines).zip(places).map(query).collect())
    }
}

/// Names a sample of a set.
fn named(set: &ShardSet, index: u64) -> Named {
    Named { index, key: set.locate(index).ok().map(|place| place.key), label: set.label(index) }
}
