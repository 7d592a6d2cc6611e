//! What all connections of a server share.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    asked::Asked,
    fault::{Fault, Faults},
    folder::Folder,
    log::Log,
    reply::Subject,
    settings::Settings,
};

/// Says which faults a request's answer has.
pub(crate) type Script = Box<dyn FnMut(&Asked) -> Vec<Fault> + Send>;

/// The folder, the settings, the script and the log of a server.
pub(crate) struct Store {
    pub(crate) folder: Folder,
    pub(crate) log: Log,
    settings: Mutex<Settings>,
    script: Mutex<Option<Script>>,
    requests: AtomicUsize,
    connections: AtomicUsize,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, settings, requests, connections, .. } = self;
        formatter
            .debug_struct("Store")
            .field("folder", folder)
            .field("settings", settings)
            .field("requests", requests)
            .field("connections", connections)
            .finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: Folder::new(folder)?,
            log: Log::default(),
            settings: Mutex::default(),
            script: Mutex::default(),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn rate(&self) -> Option<u64> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).rate
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn set_script(&self, script: Option<Script>) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Returns the number of a new connection.
    pub(crate) fn next_connection(&self) -> usize {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Describes a request of a connection, and asks the script about it.
    pub(crate) fn ask(&self, subject: &Subject, connection: usize) -> (Asked, Faults) {
        let request = subject.request();
        let header = |name| request.header(name).map(str::to_owned);
        // The script sees the numbers in order.
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Asked {
            number: self.requests.fetch_add(1, Ordering::Relaxed),
            connection,
            method: request.method.clone(),
            path: request.decoded_path().unwrap_or_else(|| request.raw_path().to_owned()),
            query: request.query.clone(),
            range: subject.range(),
            range_header: header("range"),
            if_match: header("if-match"),
            if_none_match: header("if-none-match"),
            authorized: request.is_authorized(),
            user_agent: header("user-agent"),
        };
        let faults = script.as_mut().map_or_else(Vec::new, |script| script(&asked));
        (asked, Faults::new(faults))
    }
}
