//! A run in one line, for lists of runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::subject::Subject;
use crate::metrics::Number;

/// What a list says about a run.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The run folder.
    pub run: PathBuf,
    /// The method.
    pub method: String,
    /// The encoder and its size.
    pub encoder: String,
    /// Steps made.
    pub step: Option<u64>,
    /// Steps of the whole run.
    pub steps: Option<u64>,
    /// The loss of the last record, in nats.
    pub loss: Number,
    /// Its chance level, in nats.
    pub chance: Number,
    /// Top-1 of the linear probe on validation samples, a share from 0 to 1.
    pub linear: Number,
    /// Top-1 of the MLP.
    pub mlp: Number,
    /// Top-1 of the vote of neighbours.
    pub knn: Number,
    /// running, finished, interrupted, killed or failed.
    pub state: &'static str,
    /// The time of the last change of its files.
    pub changed: Option<Timestamp>,
    /// The seconds since then.
    pub age_seconds: Option<f64>,
}

impl Row {
    /// Reads a run without its samples and without a lock.
    ///
    /// # Errors
    ///
    /// If the folder contains no run, or its files cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let run = Subject::without_samples(folder)?;
        let last = run.train.last();
        let changed = run.changed();
        Ok(Self {
            run: folder.to_owned(),
            method: run.method().to_owned(),
            encoder: run.encoder(),
            step: run.step(),
            steps: run.steps(),
            loss: last.and_then(|record| record.loss),
            chance: last.and_then(|record| record.chance),
            linear: run.validated(|record| record.linear),
            mlp: run.validated(|record| record.mlp),
            knn: run.validated(|record| record.knn),
            state: run.state.name(),
            changed,
            age_seconds: changed.map(|at| Timestamp::now().duration_since(at).as_secs_f64().max(0.0)),
        })
    }
}
