//! `amdim-stream runs`: lists the runs below some folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    hint::WithHint,
    report::{Row, duration},
    run::RunFolder,
    stdout, terminal, usage,
};

/// The depth below a folder at which runs are still found.
const DEPTH: usize = 6;
/// The columns between two columns of the table.
const GAP: usize = 2;

/// The flags of `runs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders to look for runs in, up to six levels deep
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
}

/// Lists the runs, the one that changed last first.
pub fn run(args: &Args) -> Result<()> {
    let mut found = Vec::new();
    for folder in &args.folders {
        fs::read_dir(folder)
            .with_context(|| format!("cannot list `{}`", folder.display()))
            .with_hint(|| "name a folder that contains run folders")
            .with_code_of_place()?;
        find(folder, DEPTH, &mut found);
    }
    found.sort();
    found.dedup();
    let mut rows = Vec::new();
    for run in &found {
        match Row::read(
            run.strip_prefix("./").ok().filter(|run| run.components().next().is_some()).unwrap_or(run),
        ) {
            Ok(row) => rows.push(row),
            Err(error) => tracing::warn!("`{}` is left out: {error:#}", run.display()),
        }
    }
    if rows.is_empty() {
        let folders: Vec<_> = args.folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
        return Err(
            usage!("there is no run in {}", folders.join(", "); "name a folder that contains run folders, such as `runs`"),
        );
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.changed));
    if !stdout::is_json() {
        table(&rows, terminal::columns_for_text()).iter().try_for_each(|line| stdout::say(line))?;
    }
    rows.iter().try_for_each(|row| stdout::print(&serde_json::to_value(row)?))
}

/// Collects run folders. Those within a run folder, such as `previous`, belong to it.
fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if is_run(folder) {
        found.push(folder.to_owned());
        return;
    }
    let Some(deeper) = depth.checked_sub(1) else { return };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).collect();
    folders.sort_by_key(fs::DirEntry::file_name);
    for entry in folders {
        find(&entry.path(), deeper, found);
    }
}

/// Returns whether a folder is that of a run: any folder may have a `config.toml`.
fn is_run(path: &Path) -> bool {
    let folder = RunFolder::of(path);
    ["metrics.jsonl", "manifest.json", "run.lock"].iter().any(|name| path.join(name).is_file())
        && (folder.checkpoints.last_step().is_some() || path.join("config.toml").is_file())
}

/// A column of the table: its title, its importance (0 is never left out), and its cells.
struct Column {
    title: &'static str,
    importance: u8,
    is_right: bool,
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let longest = self.cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        longest.max(self.title.len())
    }
}

/// Returns the lines of the table, with as many columns as fit.
fn table(rows: &[Row], columns: usize) -> Vec<String> {
    let mut shown = all_columns(rows);
    let total = |shown: &[Column]| shown.iter().map(|column| column.width() + GAP).sum::<usize>() - GAP;
    while total(&shown) > columns && shown.iter().any(|column| column.importance > 0) {
        let most = shown.iter().map(|column| column.importance).max().unwrap_or(0);
        shown.retain(|column| column.importance < most);
    }
    // The paths of runs end in what tells them apart.
    let rest = total(&shown) - shown[0].width();
    let room = columns.saturating_sub(rest).max(8);
    for cell in &mut shown[0].cells {
        let length = cell.chars().count();
        if length > room {
            *cell = format!("…{}", cell.chars().skip(length - room + 1).collect::<String>());
        }
    }
    let line = |cell_of: &dyn Fn(&Column) -> String| {
        let cells = shown.iter().map(|column| {
            let (cell, width) = (cell_of(column), column.width());
            if column.is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    let head = line(&|column| column.title.to_owned());
    [head]
        .into_iter()
        .chain((0..rows.len()).map(|place| line(&|column| column.cells[place].clone())))
        .collect()
}

fn all_columns(rows: &[Row]) -> Vec<Column> {
    let column = |title, importance, is_right, cell: &dyn Fn(&Row) -> String| Column {
        title,
        importance,
        is_right,
        cells: rows.iter().map(cell).collect(),
    };
    let none = || "-".to_owned();
    let share = |share: Option<f64>| share.map_or_else(none, |share| format!("{:.1} %", 100.0 * share));
    let nats = |nats: Option<f64>| nats.map_or_else(none, |nats| format!("{nats:.3}"));
    let steps = |row: &Row| {
        let [step, steps] =
            [row.step, row.steps].map(|steps| steps.map_or("?".to_owned(), |steps| steps.to_string()));
        format!("{step}/{steps}")
    };
    vec![
        column("run", 0, false, &|row| row.run.display().to_string()),
        column("state", 0, false, &|row| row.state.to_owned()),
        column("step", 0, true, &steps),
        column("loss", 1, true, &|row| nats(row.loss)),
        column("chance", 2, true, &|row| nats(row.chance)),
        column("linear", 3, true, &|row| share(row.linear)),
        column("mlp", 6, true, &|row| share(row.mlp)),
        column("knn", 4, true, &|row| share(row.knn)),
        column("method", 5, false, &|row| row.method.clone()),
        column("encoder", 7, false, &|row| row.encoder.clone()),
        column("age", 3, true, &|row| row.age_seconds.map_or_else(none, duration)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: &str) -> Row {
        Row {
            run: run.into(),
            method: "amdim".to_owned(),
            encoder: "amdim 32·256·3".to_owned(),
            step: Some(500),
            steps: Some(600),
            loss: Some(18.4391),
            chance: Some(22.761),
            linear: Some(0.8674),
            mlp: None,
            knn: Some(0.5),
            state: "interrupted",
            changed: None,
            age_seconds: Some(4_000.0),
        }
    }

    #[test]
    fn the_table_fits_the_terminal_and_keeps_what_matters() {
        let rows = [row("runs/one"), row("/very/long/path/to/where/all/the/experiments/are/kept/runs/two")];
        for columns in [40, 60, 80, 120, 200] {
            let lines = table(&rows, columns);
            assert_eq!(lines.len(), 3);
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}: {lines:#?}");
            assert!(lines[1].contains("interrupted") && lines[1].contains("500/600"), "{lines:#?}");
            assert!(lines[2].starts_with('…') || columns > 100, "{lines:#?}");
        }
        let wide = table(&rows, 200);
        assert!(
            ["18.439", "22.761", "86.7 %", "50.0 %", "amdim 32·256·3", "1 h 6 min"]
                .iter()
                .all(|cell| wide[1].contains(cell))
        );
    }
}
