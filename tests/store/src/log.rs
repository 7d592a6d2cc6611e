//! The record of requests.

use std::{
    fmt,
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{asked::Asked, escape};

/// A request and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The request.
    pub asked: Asked,
    /// The status of the answer; `None` if the connection was closed without one.
    pub status: Option<u16>,
    /// The bytes of the body that were sent by now, that is, handed to the operating system.
    pub sent: u64,
}

impl Logged {
    /// Returns a JSON object with everything but the headers for conditions.
    fn json(&self) -> String {
        let Self { asked, status, sent } = self;
        let quoted = |text: &Option<String>| text.as_deref().map_or("null".to_owned(), escape::json);
        let range =
            asked.range.as_ref().map_or("null".to_owned(), |it| format!("[{}, {}]", it.start, it.end));
        format!(
            "{{\"number\": {}, \"connection\": {}, \"method\": {}, \"path\": {}, \"query\": {}, \
             \"range\": {range}, \"authorized\": {}, \"user_agent\": {}, \"status\": {}, \"sent\": {sent}}}",
            asked.number,
            asked.connection,
            escape::json(&asked.method),
            escape::json(&asked.path),
            escape::json(&asked.query),
            asked.authorized,
            quoted(&asked.user_agent),
            status.map_or("null".to_owned(), |status| status.to_string()),
        )
    }
}

/// A request whose answer may be under way.
#[derive(Debug)]
pub(crate) struct Entry {
    asked: Asked,
    status: Option<u16>,
    sent: AtomicU64,
}

impl Entry {
    /// Counts bytes before they are sent, so that a client that has them finds them in the record.
    pub(crate) fn count(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back bytes that could not be sent.
    pub(crate) fn discount(&self, bytes: u64) {
        self.sent.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn logged(&self) -> Logged {
        Logged { asked: self.asked.clone(), status: self.status, sent: self.sent.load(Ordering::Relaxed) }
    }
}

/// The requests of a server.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<Arc<Entry>>>,
    /// Gets a line for each request that has been answered.
    lines: Mutex<Option<Box<dyn Write + Send>>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Log").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Log {
    /// Adds a request, before it is answered.
    pub(crate) fn begin(&self, asked: Asked, status: Option<u16>) -> Arc<Entry> {
        let entry = Arc::new(Entry { asked, status, sent: AtomicU64::new(0) });
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&entry));
        entry
    }

    /// Writes the line of a request that has been answered. A line that cannot be written is lost: no client
    /// could do anything about it.
    pub(crate) fn end(&self, entry: &Entry) {
        if let Some(lines) = self.lines.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = writeln!(lines, "{}", entry.logged().json()).and_then(|()| lines.flush());
        }
    }

    pub(crate) fn requests(&self) -> Vec<Logged> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| entry.logged()).collect()
    }

    pub(crate) fn forget(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn write_to(&self, lines: Box<dyn Write + Send>) {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines);
    }
}
