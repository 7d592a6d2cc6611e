//! The connections, below the protocols of the stores: they count requests, and turn refusals into errors that tell
//! what the server said.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService, ReqwestConnector,
    },
};

use super::traffic::{Counters, add};
use crate::path::is_tar;

/// The most bytes of a refusal that are kept.
const WORDS: usize = 4096;

/// Makes connections that count.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    counters: Arc<Counters>,
}

impl Connector {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Wire { inner, counters: Arc::clone(&self.counters) }))
    }
}

/// A client that others share.
#[derive(Debug, Clone)]
pub(super) struct Shared(pub(super) HttpClient);

impl HttpConnector for Shared {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// An answer of a server that is not what was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the server answered with status {status}")]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The region that an S3 server names.
    pub(super) region: Option<String>,
    pub(super) is_web_page: bool,
    /// The first bytes of the answer, as text.
    pub(super) words: String,
}

#[derive(Debug)]
struct Wire {
    inner: HttpClient,
    counters: Arc<Counters>,
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        add(&self.counters.requests, 1);
        // Requests for credentials have answers of their own.
        let is_of_object = matches!(request.method().as_str(), "GET" | "HEAD")
            && request.uri().host().is_none_or(|host| !host.starts_with("169.254."));
        let is_of_shard = is_tar(request.uri().path());
        let range = request.headers().get("range").and_then(|range| range.to_str().ok()).map(str::to_owned);
        let response = self.inner.execute(request).await?;
        if !is_of_object || response.status() == StatusCode::PARTIAL_CONTENT {
            return Ok(response);
        }
        // Proxies and login pages answer everything.
        if is_of_shard && response.status().is_success() && is_web_page(&response) {
            return Err(refusal(response).await);
        }
        match (response.status().is_success(), range) {
            (true, None) => Ok(response),
            (true, Some(range)) => match as_partial(response, &range) {
                Ok(response) => Ok(response),
                Err(response) => Err(refusal(*response).await),
            },
            (false, _) => Err(refusal(response).await),
        }
    }
}

/// Marks an answer with the whole object as the range that was asked for, if that is the whole object.
fn as_partial(mut response: HttpResponse, range: &str) -> Result<HttpResponse, Box<HttpResponse>> {
    let number = |text: &str| text.parse::<u64>().ok();
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let bounds = bounds.and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let length = response.headers().get("content-length").and_then(|length| number(length.to_str().ok()?));
    match (bounds, length) {
        (Some((0, last)), Some(length)) if length == last + 1 => {
            let Ok(value) = format!("bytes 0-{last}/{length}").parse() else {
                return Err(Box::new(response));
            };
            response.headers_mut().insert("content-range", value);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            Ok(response)
        }
        _ => Err(Box::new(response)),
    }
}

fn is_web_page(response: &HttpResponse) -> bool {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

async fn refusal(response: HttpResponse) -> HttpError {
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let is_web_page = is_web_page(&response);
    let (status, region) = (response.status().as_u16(), header("x-amz-bucket-region"));
    // A success has the whole object as its content.
    let words =
        if response.status().is_success() { String::new() } else { words(response.into_body()).await };
    HttpError::new(HttpErrorKind::Unknown, Refusal { status, region, is_web_page, words })
}

async fn words(body: HttpResponseBody) -> String {
    let Ok(bytes) = body.bytes().await else { return String::new() };
    String::from_utf8_lossy(&bytes[..bytes.len().min(WORDS)]).into_owned()
}
