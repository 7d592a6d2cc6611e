//! `report.html` in the run folder, which is written at each end of a run.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow};

use super::{page, page::Options, subject::Subject};
use crate::{data::Data, files, hint::WithHint, run::RunFolder};

/// The end of a run waits so long for its report.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes the report of a run that ends, in place of an earlier one. A report that cannot be written, or that takes
/// longer than two seconds, costs a warning and nothing else.
pub(crate) fn write_at_end(folder: &RunFolder, data: &Data) {
    let (done, written) = mpsc::channel();
    let (folder, data) = (folder.clone(), data.clone());
    let path = folder.report.display().to_string();
    let work = move || {
        let write = || -> Result<()> {
            let run = Subject::with_data(&folder.path, &data)?;
            let page = page::page(&[run], &Options::default());
            files::replace(&folder.report, page.as_bytes()).or_cannot_write(&folder.report)
        };
        let written = panic::catch_unwind(AssertUnwindSafe(write));
        let _ = done.send(written.unwrap_or_else(|_| Err(anyhow!("the report could not be drawn"))));
    };
    let started = thread::Builder::new().name("report".to_owned()).spawn(work);
    match started.map(|_| written.recv_timeout(PATIENCE)) {
        Ok(Ok(Ok(()))) => tracing::info!("report: `{path}`"),
        Ok(Ok(Err(error))) => tracing::warn!("there is no report of the run: {error:#}"),
        Ok(Err(_)) => tracing::warn!(
            "the report takes more than two seconds and is not waited for: `amdim-stream report` writes it"
        ),
        Err(error) => tracing::warn!("there is no report of the run: {error}"),
    }
}
