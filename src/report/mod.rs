//! The report: one HTML file about a run, or about several, that needs no other file and calls nothing.

mod band;
mod chart;
mod configuration;
mod confusion;
mod curves;
pub mod findings;
mod how;
mod images;
mod listing;
mod page;
pub mod pairs;
pub mod parts;
mod pictures;
mod scale;
mod state;
mod subject;
mod summary;
mod text;
mod verdict;
mod write;

use anyhow::{Result, ensure};

pub use self::{
    listing::Row,
    page::{Live, Options},
    state::State,
    subject::Subject,
    text::escape,
};
pub(crate) use self::{
    summary::summary,
    text::{duration, grouped, number},
    write::write_at_end,
};

/// Returns the page about one run, or one that compares several.
///
/// # Errors
///
/// If there is no run.
pub fn page(runs: &[Subject], options: &Options) -> Result<String> {
    ensure!(!runs.is_empty(), "a report needs a run");
    let mut runs = runs.to_vec();
    subject::tell_apart(&mut runs);
    Ok(page::page(&runs, options))
}
