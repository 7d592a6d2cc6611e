//! Start and end of the server.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use tokio::{runtime, sync::oneshot};

use super::{
    answer::{App, Pages},
    connections,
    door::Door,
    live::Live,
};
use crate::{files, hint::WithHint, metrics::Record, observe::Watcher, world};

/// The server of a run. Dropping it tells all readers that the run has ended, and closes it.
#[derive(Debug)]
pub(crate) struct Server {
    live: Arc<Live>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The file with the address.
    note: PathBuf,
}

impl Server {
    /// Listens at an address, whose port may be 0 for any free one, and writes the address that it has to the file
    /// `listen` in the run folder.
    ///
    /// # Errors
    ///
    /// If the address cannot be taken.
    pub(crate) fn start(address: SocketAddr, door: Door, pages: Pages, run: &Path) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("cannot listen at {address}"))
            .with_hint(|| "name a free port with --listen; port 0 takes any")?;
        let address = listener.local_addr().context("the address of --listen is not known")?;
        listener.set_nonblocking(true).context("cannot listen without waiting")?;
        let note = run.join("listen");
        if let Err(error) = files::replace(&note, format!("http://{address}/\n").as_bytes()) {
            tracing::warn!("`{}` cannot be written: {error}", note.display());
        }
        let live = Arc::new(Live::new());
        let app = Arc::new(App { door, pages, live: live.clone() });
        let (stop, stopped) = oneshot::channel();
        // One thread serves, another one makes pages.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .thread_name("page")
            .build()
            .context("cannot start the server of --listen")?;
        let run = move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => connections::serve(listener, app, stopped).await,
                    Err(error) => tracing::warn!("--listen does not work: {error}"),
                }
            });
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new()
            .name("listen".to_owned())
            .spawn(run)
            .context("cannot start the server of --listen")?;
        if address.ip().is_unspecified() {
            tracing::info!("watch the run at http://{}:{}/?token=TOKEN", world::host(), address.port());
        } else {
            tracing::info!("watch the run at http://{address}/");
        }
        Ok(Self { live, stop: Some(stop), thread: Some(thread), note })
    }
}

impl Watcher for Server {
    fn record(&mut self, record: &Record) {
        self.live.record(record);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // a panic has been reported
        }
        drop(fs::remove_file(&self.note));
    }
}
