//! The page for Prometheus: counters and gauges of a running training in the classic text format, 0.0.4.

mod buckets;
mod series;
mod state;
mod table;

pub use self::{
    state::{About, State},
    table::{Id, Kind, METRICS, Metric},
};

/// The content type of the page. Prometheus 3 refuses pages without a correct one.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
