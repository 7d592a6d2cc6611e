//! The answer to each request.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::{
    door::{Admission, COOKIE_NAME, Door},
    live::Live,
};
use crate::observe::prometheus;

/// The header with the seconds until a page is made anew.
const FRESH: HeaderName = HeaderName::from_static("fresh-seconds");
/// The paths that are answered.
const PATHS: [&str; 6] = ["/", "/numbers.html", "/report.html", "/live", "/metrics", "/healthz"];
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

pub(super) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A page of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The report, which follows the run.
    Live,
    /// The report without images, of which the page that follows the run takes new numbers.
    Numbers,
    /// The report as it stands, to be kept.
    Report,
}

/// The script that lets the page follow the run.
pub(crate) const SCRIPT: &str = include_str!("live.js");

/// Makes the contents of pages.
pub(crate) struct Pages {
    page: Box<dyn Fn(Page) -> Result<String> + Send + Sync>,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    shelf: Mutex<Shelf>,
}

/// Pages that were made, and when another one may be made.
#[derive(Default)]
struct Shelf {
    made: Vec<(Page, Made)>,
    /// Until then, pages that are there are not made again.
    rest: Option<Instant>,
}

/// A page, or why it cannot be made.
type Made = std::result::Result<Bytes, String>;

impl Pages {
    /// The least time between two pages that are made.
    const LEAST: Duration = Duration::from_secs(1);
    /// The time spent on pages is one part of so many.
    const SHARE: u32 = 100;

    /// Returns pages of which `page` makes the HTML, and `metrics` the text for Prometheus.
    pub(crate) fn new(
        page: impl Fn(Page) -> Result<String> + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { page: Box::new(page), metrics: Box::new(metrics), shelf: Mutex::default() }
    }

    /// Returns a page, and the time until it may be made again.
    fn html(&self, page: Page) -> (Made, Duration) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let left = shelf.rest.map_or(Duration::ZERO, |rest| rest.saturating_duration_since(now));
        if let Some((_, made)) = shelf.made.iter().find(|(of, _)| *of == page).filter(|_| !left.is_zero()) {
            return (made.clone(), left);
        }
        let made = (self.page)(page).map(Bytes::from).map_err(|error| format!("{error:#}"));
        let rest = left + Self::LEAST.max(Self::SHARE * now.elapsed());
        shelf.rest = Some(Instant::now() + rest);
        shelf.made.retain(|(of, _)| *of != page);
        shelf.made.push((page, made.clone()));
        (made, rest)
    }

    /// Lets every page be made anew once.
    pub(super) fn forget(&self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Shelf::default();
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// What the server answers from.
#[derive(Debug)]
pub(super) struct App {
    pub(super) door: Door,
    pub(super) pages: Pages,
    pub(super) live: Arc<Live>,
}

impl App {
    /// Answers a request.
    pub(super) async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let answer = match self.door.admit(&request) {
            Admission::Enter => self.route(&request).await,
            Admission::Remember { path, token } => remember(&path, &token),
            Admission::Refuse(status) => refusal(status),
        };
        if !is_head {
            return answer;
        }
        answer.map(|_| Full::default().boxed())
    }

    async fn route<B>(self: Arc<Self>, request: &Request<B>) -> Answer {
        match request.uri().path() {
            "/" => self.page(Page::Live).await,
            "/numbers.html" => self.page(Page::Numbers).await,
            "/report.html" => self.page(Page::Report).await,
            "/live" => {
                let events = self.live.clone().events(request.headers());
                with(StatusCode::OK, "text/event-stream", events.boxed())
            }
            "/metrics" => text(StatusCode::OK, prometheus::CONTENT_TYPE, (self.pages.metrics)()),
            "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
            _ => text(StatusCode::NOT_FOUND, TEXT, format!("there is {}\n", PATHS.join(", "))),
        }
    }

    /// Makes a page beside the thread that serves.
    async fn page(self: Arc<Self>, page: Page) -> Answer {
        let made = tokio::task::spawn_blocking(move || self.pages.html(page)).await;
        let (made, left) = made.unwrap_or_else(|error| (Err(error.to_string()), Duration::ZERO));
        let mut answer = match made {
            Ok(html) => text(StatusCode::OK, HTML, html),
            Err(error) => {
                let words = format!("the page cannot be made: {error}\n");
                text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, words)
            }
        };
        set(&mut answer, FRESH, &format!("{:.3}", left.as_secs_f64()));
        answer
    }
}

/// Lets the browser keep the token as a cookie and ask again, so that the token does not stay in the address.
fn remember(path: &str, token: &str) -> Answer {
    let mut answer = text(StatusCode::SEE_OTHER, TEXT, "");
    // Any other path could lead away, as `//example.org` does.
    let path = PATHS.iter().find(|known| **known == path).unwrap_or(&"/");
    set(&mut answer, LOCATION, path);
    set(&mut answer, SET_COOKIE, &format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict"));
    answer
}

/// Returns the answer that refuses a request. It is the same for every request with this status.
fn refusal(status: StatusCode) -> Answer {
    let words = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this page can be read, and nothing else\n",
        StatusCode::UNAUTHORIZED => {
            "a token is needed: open /?token=TOKEN, or send the header `Authorization: Bearer TOKEN`\n"
        }
        _ => "the header Host must be localhost, 127.0.0.1 or [::1]\n",
    };
    let mut answer = text(status, TEXT, words);
    match status {
        StatusCode::METHOD_NOT_ALLOWED => set(&mut answer, ALLOW, "GET, HEAD"),
        StatusCode::UNAUTHORIZED => set(&mut answer, WWW_AUTHENTICATE, "Bearer"),
        _ => {}
    }
    answer
}

fn text(status: StatusCode, kind: &'static str, contents: impl Into<Bytes>) -> Answer {
    with(status, kind, Full::new(contents.into()).boxed())
}

fn with(status: StatusCode, kind: &'static str, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, kind);
    set(&mut answer, CACHE_CONTROL, "no-store");
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut answer, REFERRER_POLICY, "no-referrer");
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
