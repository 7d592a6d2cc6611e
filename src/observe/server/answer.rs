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

/// The content type of Prometheus' text format. Prometheus 3 accepts it to the letter only.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
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
    made: Mutex<Vec<Made>>,
}

/// A page that was made a moment ago.
struct Made {
    page: Page,
    until: Instant,
    html: Bytes,
}

impl Pages {
    /// The least time for which a page is not made again.
    const LASTING: Duration = Duration::from_secs(1);
    /// The share of a core that making a page again and again may take: one part of so many.
    const SHARE: u32 = 100;

    /// Returns pages of which `page` makes the HTML, and `metrics` the text for Prometheus.
    pub(crate) fn new(
        page: impl Fn(Page) -> Result<String> + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { page: Box::new(page), metrics: Box::new(metrics), made: Mutex::default() }
    }

    fn html(&self, page: Page) -> Result<Bytes> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|made| Instant::now() < made.until);
        if let Some(made) = made.iter().find(|made| made.page == page) {
            return Ok(made.html.clone());
        }
        let begin = Instant::now();
        let html = Bytes::from((self.page)(page)?);
        let lasting = Self::LASTING.max(Self::SHARE * begin.elapsed());
        made.push(Made { page, until: Instant::now() + lasting, html: html.clone() });
        Ok(html)
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
            Admission::Remember(path) => Self::remember(&path, &request),
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
            "/metrics" => text(StatusCode::OK, PROMETHEUS, (self.pages.metrics)()),
            "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
            _ => {
                text(StatusCode::NOT_FOUND, TEXT, "there is /, /report.html, /live, /metrics and /healthz\n")
            }
        }
    }

    /// Makes a page beside the thread that serves.
    async fn page(self: Arc<Self>, page: Page) -> Answer {
        let made = tokio::task::spawn_blocking(move || self.pages.html(page)).await;
        match made.map_err(anyhow::Error::from).flatten() {
            Ok(html) => text(StatusCode::OK, HTML, html),
            Err(error) => {
                let words = format!("the page cannot be made: {error:#}\n");
                text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, words)
            }
        }
    }

    /// Lets the browser keep the token as a cookie and ask again, so that the token does not stay in the address.
    fn remember<B>(path: &str, request: &Request<B>) -> Answer {
        let token = request
            .uri()
            .query()
            .and_then(|query| query.split('&').find_map(|part| part.strip_prefix("token=")));
        let mut answer = text(StatusCode::SEE_OTHER, TEXT, "");
        // Any other path could lead away, as `//example.org` does.
        let path = if ["/report.html", "/metrics", "/healthz"].contains(&path) { path } else { "/" };
        let cookie =
            format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict", token.unwrap_or_default());
        set(&mut answer, LOCATION, path);
        set(&mut answer, SET_COOKIE, &cookie);
        answer
    }
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
