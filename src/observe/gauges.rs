//! Numbers for Prometheus, as records come.

use std::sync::Arc;

use pipeline::BadSampleBudget;

use super::{Watcher, prometheus::State};
use crate::metrics::Record;

/// Takes records into the numbers for Prometheus.
#[derive(Debug)]
pub(crate) struct Gauges {
    state: Arc<State>,
    budget: BadSampleBudget,
}

impl Gauges {
    pub(crate) fn new(state: Arc<State>, budget: BadSampleBudget) -> Self {
        Self { state, budget }
    }
}

impl Watcher for Gauges {
    fn record(&mut self, record: &Record) {
        self.state.record(record);
        if let Some(bad) = record.train().and_then(|train| train.bad_samples) {
            self.state.budget(self.budget, bad as u64, self.state.images());
        }
    }
}
