//! Numbers for Prometheus, as records come.

use std::sync::Arc;

use super::{Watcher, prometheus::State};
use crate::{config::Config, metrics::Record, report::parts};

/// Takes records into the numbers for Prometheus.
#[derive(Debug)]
pub(crate) struct Gauges {
    state: Arc<State>,
    config: Config,
}

impl Gauges {
    pub(crate) fn new(state: Arc<State>, config: &Config) -> Self {
        Self { state, config: config.clone() }
    }
}

impl Watcher for Gauges {
    fn record(&mut self, record: &Record) {
        self.state.record(record);
        let Some(train) = record.train() else { return };
        for (part, chance) in parts::chances(&self.config, train) {
            self.state.chance(part, chance);
        }
        if let Some(bad) = train.bad_samples {
            self.state.budget(self.config.run.max_bad, bad as u64, self.state.images());
        }
    }
}
