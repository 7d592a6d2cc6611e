//! TensorBoard's view of a run: records, scores, and some samples with their views.

use pipeline::Rgb;
use shards::ShardSet;

use super::{
    Watcher,
    observer::Scores,
    tensorboard::{self, Forgiving, TensorBoard, tags},
};
use crate::{
    config::Config,
    metrics::{self, Record},
    report::pairs,
    run::folder::RunFolder,
};

/// Writes what a run says to an event file.
#[derive(Debug)]
pub(crate) struct Board {
    file: Forgiving,
    config: Config,
    samples: ShardSet,
}

impl Board {
    /// The samples that are shown with their views.
    const SHOWN: u64 = 8;

    /// Returns the board of a process that goes on after `step` steps. `text` has its settings in TOML. It first tells
    /// what earlier processes have recorded and not told.
    pub(crate) fn new(
        folder: &RunFolder,
        step: u64,
        text: String,
        config: &Config,
        samples: &ShardSet,
    ) -> Self {
        let records = metrics::read(&folder.metrics).unwrap_or_default();
        let records: Vec<_> = records.into_iter().filter(|record| record.step() <= step).collect();
        let missing = tensorboard::missing(&folder.tensorboard, &records);
        let after = missing.first().map_or(step, |record| record.step() - 1);
        let mut file = Forgiving::new(TensorBoard::new(&folder.tensorboard, after, text));
        for record in missing {
            file.write(|board| board.record(record));
        }
        Self { file, config: config.clone(), samples: samples.clone() }
    }

    /// Draws samples, each with its views in the epoch of a record.
    fn views(&self, record: &Record) -> Option<Rgb> {
        let epoch = record.epoch().unwrap_or(0.0).floor().max(0.0) as u64;
        let indices = pairs::evenly(self.samples.len(), Self::SHOWN);
        pairs::grid(&pairs::pairs(&self.config, &self.samples, &indices, epoch))
    }
}

impl Watcher for Board {
    fn record(&mut self, record: &Record) {
        self.file.write(|board| board.record(record));
        if record.validation().is_some()
            && let Some(views) = self.views(record)
        {
            self.file.write(|board| board.image(record.step(), tags::VIEWS, &views));
        }
    }

    fn scores(&mut self, step: u64, scores: &Scores) {
        for (name, histogram) in scores {
            self.file.write(|board| board.histogram(step, &tags::of_scores(name), histogram));
        }
    }
}
