//! `report.html` in the run folder, which is written at each end of a run.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow};

use super::{page, page::Options, subject::Subject};
use crate::{data::Data, files, hint::WithHint, run::RunFolder};

/// The end of a run waits so long for its report to be drawn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes the report of a run that ends, in place of an earlier one. A report that cannot be written, or that takes
/// longer than two seconds to draw, costs a warning and nothing else.
pub(crate) fn write_at_end(folder: &RunFolder, data: &Data) {
    let (path, data) = (folder.path.clone(), data.clone());
    write(&folder.report, PATIENCE, move || {
        let run = Subject::with_data(&path, &data)?;
        Ok(page::page(&[run], &Options::default()))
    });
}

/// Writes what `draw` returns within `patience`. It draws in a thread that writes nothing: where nobody waits for it any
/// longer, the process may end at any moment, and would leave a part of the file.
fn write(path: &Path, patience: Duration, draw: impl FnOnce() -> Result<String> + Send + 'static) {
    let shown = path.display();
    match drawn(patience, draw) {
        Ok(Some(page)) => match files::replace(path, page.as_bytes()).or_cannot_write(path) {
            Ok(()) => tracing::info!("report: `{shown}`"),
            Err(error) => tracing::warn!("there is no report of the run: {error:#}"),
        },
        Ok(None) => tracing::warn!(
            "the report takes more than two seconds and is not waited for: `amdim-stream report` writes it"
        ),
        Err(error) => tracing::warn!("there is no report of the run: {error:#}"),
    }
}

/// Draws in a thread of its own. Returns `None` if it takes longer than `patience`.
fn drawn(
    patience: Duration,
    draw: impl FnOnce() -> Result<String> + Send + 'static,
) -> Result<Option<String>> {
    let (done, drawn) = mpsc::channel();
    let work = move || {
        let page = panic::catch_unwind(AssertUnwindSafe(draw));
        let _ = done.send(page.unwrap_or_else(|_| Err(anyhow!("the report could not be drawn"))));
    };
    thread::Builder::new().name("report".to_owned()).spawn(work)?;
    drawn.recv_timeout(patience).ok().transpose()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_report_that_nobody_waits_for_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        let (open, gate) = mpsc::channel::<()>();
        let (ending, ended) = mpsc::channel::<()>();
        write(&path, Duration::ZERO, move || {
            let _ending = ending;
            let _ = gate.recv();
            Ok("late".to_owned())
        });
        drop(open);
        ended.recv().unwrap_err(); // it has been drawn
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_report_replaces_the_one_before_unless_it_cannot_be_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        let patience = Duration::from_secs(60);
        write(&path, patience, || Ok("first".to_owned()));
        write(&path, patience, || Err(anyhow!("no records")));
        write(&path, patience, || panic!("a defect"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        write(&path, patience, || Ok("second".to_owned()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
