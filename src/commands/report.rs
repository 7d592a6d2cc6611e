//! `amdim-stream report`: writes one HTML file about a run, or about several.

use std::path::PathBuf;

use anyhow::Result;
use clap::builder::RangedU64ValueParser;
use serde_json::json;

use crate::{
    destination,
    files::Partial,
    hint::WithHint,
    report::{self, Options, Subject},
    stdout,
};

/// The flags of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folders: one for a report on the run, several to compare them. A run may go on meanwhile
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// File to write
    #[arg(long, short, value_name = "FILE.html", default_value = "report.html")]
    pub out: PathBuf,
    /// The most images of each kind, up to 40: samples with their views, validation samples with their neighbours, bad
    /// samples. 0 for none
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = up_to_most())]
    pub images: usize,
    /// Replace FILE if it exists
    #[arg(long)]
    pub force: bool,
}

fn up_to_most() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=Options::MOST as u64)
}

/// Writes the report.
pub fn run(args: &Args) -> Result<()> {
    destination::file(&args.out, &["html", "htm"], args.force)?;
    let runs = args.runs.iter().map(|run| Subject::read(run)).collect::<Result<Vec<_>>>()?;
    let page = report::page(&runs, &Options { images: args.images, live: None })?;
    let write = || -> Result<()> {
        let partial = Partial::beside(&args.out)?;
        Ok(partial.write(page.as_bytes())?)
    };
    write().or_cannot_write(&args.out).with_code_of_place()?;
    let kilobytes = page.len().div_ceil(1000);
    stdout::say(&format!("`{}`: one file of {kilobytes} kB; open it in a browser", args.out.display()))?;
    stdout::print(&json!({"out": args.out, "bytes": page.len(), "runs": args.runs}))
}
