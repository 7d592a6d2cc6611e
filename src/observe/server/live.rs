//! Events of new records (server-sent events), which a page follows.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    HeaderMap,
    body::{Body, Bytes, Frame},
};
use serde_json::json;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};

use crate::{
    metrics::Record,
    report::{grouped, number},
};

/// The events of a run, for any number of readers.
#[derive(Debug)]
pub(super) struct Live {
    sender: broadcast::Sender<Event>,
    /// The last record, with which a new reader begins.
    last: Mutex<Option<Event>>,
}

#[derive(Debug, Clone)]
enum Event {
    /// A record of this step, as text.
    Record(u64, Arc<str>),
    /// The run has ended.
    End,
}

impl Event {
    fn text(&self) -> String {
        match self {
            Self::Record(step, data) => format!("id: {step}\nevent: record\ndata: {data}\n\n"),
            Self::End => "event: end\ndata: \n\n".to_owned(),
        }
    }
}

impl Live {
    /// Events that a reader may lag behind.
    const ROOM: usize = 256;
    /// Texts on their way to a reader.
    const UNDER_WAY: usize = 4;
    /// The time after which a silent run shows that the connection is alive.
    const SILENCE: Duration = Duration::from_secs(15);
    /// What a reader gets in place of events that it has missed: it is to load the page again.
    const RESET: &str = "event: reset\ndata: \n\n";

    pub(super) fn new() -> Self {
        Self { sender: broadcast::Sender::new(Self::ROOM), last: Mutex::default() }
    }

    /// Sends a record to all readers, without waiting for any of them.
    pub(super) fn record(&self, record: &Record) {
        let event = Event::Record(record.step(), headline(record).into());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.clone());
        drop(self.sender.send(event)); // fails if nobody reads
    }

    /// Tells all readers that the run has ended. Returns whether there are any.
    pub(super) fn end(&self) -> bool {
        self.sender.send(Event::End).is_ok()
    }

    /// Returns the events from now on, for a reader that sent these headers.
    pub(super) fn events(self: Arc<Self>, headers: &HeaderMap) -> Events {
        let mut events = self.sender.subscribe();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let has_missed = match (headers.get("last-event-id"), &last) {
            (Some(seen), Some(Event::Record(step, _))) => seen.as_bytes() != step.to_string().as_bytes(),
            (seen, _) => seen.is_some(),
        };
        let (sender, texts) = mpsc::channel(Self::UNDER_WAY);
        tokio::spawn(async move {
            let first = if has_missed { Some(Self::RESET.to_owned()) } else { None };
            // Browsers try again so many milliseconds after a connection is lost.
            let first = first.into_iter().chain(last.map(|event| event.text()));
            let mut text = format!("retry: 1000\n\n{}", first.collect::<String>());
            let mut is_over = false;
            while sender.send(Bytes::from(text)).await.is_ok() && !is_over {
                text = match tokio::time::timeout(Self::SILENCE, events.recv()).await {
                    Err(_) => ": the run goes on\n\n".to_owned(),
                    Ok(Ok(event)) => {
                        is_over = matches!(event, Event::End);
                        event.text()
                    }
                    Ok(Err(RecvError::Lagged(_))) => Self::RESET.to_owned(),
                    Ok(Err(RecvError::Closed)) => return,
                };
            }
        });
        Events(texts)
    }
}

/// Returns what the head of the page shows of a record: texts by the name of their element.
fn headline(record: &Record) -> String {
    let finite = |number: Option<f64>| number.filter(|number| number.is_finite());
    let kind = if record.train().is_some() { "train" } else { "validation" };
    let mut texts = json!({ "kind": kind, "step": grouped(record.step()) });
    if let Some(train) = record.train() {
        if let Some(loss) = finite(train.loss) {
            texts["loss"] = number(loss).into();
        }
        if let Some(rate) = finite(train.images_per_second) {
            texts["rate"] = grouped(rate.round() as u64).into();
        }
    }
    texts.to_string()
}

/// The events that a reader gets, as the body of an answer.
#[derive(Debug)]
pub(super) struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
