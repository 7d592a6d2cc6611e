//! The table of the findings in each shard.

use anyhow::Result;
use dataset::verify::{Counts, Findings, Kind};

use super::words;
use crate::stdout;

/// The most shards in the table.
const ROWS: usize = 20;

/// Prints the numbers of samples and of findings of each kind, by shard and in total.
pub(super) fn print(findings: &Findings) -> Result<()> {
    let all = findings.shards();
    let rows: Vec<_> = match all.len() {
        ..=ROWS => all.iter().collect(),
        _ => all.iter().filter(|(_, counts)| counts.sum(|_| true) > 0).take(ROWS).collect(),
    };
    let names = rows.iter().map(|(name, _)| name.chars().count());
    let width = names.max().unwrap_or(0).max("all shards".len());
    let found = Kind::ALL.into_iter().filter(|kind| findings.totals().found(*kind) > 0);
    let columns: Vec<_> = found.map(|kind| (kind, words::column(kind))).collect();
    let titles: String = columns.iter().flat_map(|(_, column)| ["  ", *column]).collect();
    stdout::say(&format!("{:<width$}  {:>9}{titles}", "", "samples"))?;
    rows.iter().try_for_each(|(name, counts)| stdout::say(&row(counts, name, width, &columns)))?;
    stdout::say(&row(findings.totals(), "all shards", width, &columns))?;
    if rows.len() < all.len() {
        let (shown, all) = (rows.len(), all.len());
        stdout::say(&format!("{shown} of {all} shards are shown, the JSON on stdout (--json) has all"))?;
    }
    Ok(())
}

fn row(counts: &Counts, name: &str, width: usize, columns: &[(Kind, &str)]) -> String {
    let cell = |(kind, column): &(Kind, &str)| match counts.found(*kind) {
        0 => format!("  {:>1$}", "-", column.len()),
        count => format!("  {count:>0$}", column.len()),
    };
    format!("{name:<width$}  {:>9}", counts.samples) + &columns.iter().map(cell).collect::<String>()
}
