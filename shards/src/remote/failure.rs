//! What failed requests mean.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};

use super::wire::Refusal;
use crate::hint::{RemoteHint, StoreKind};

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// The reason, as a clause.
    pub(super) reason: String,
    pub(super) hint: Option<RemoteHint>,
    /// The status of the answer, if there was one.
    pub(super) status: Option<u16>,
}

/// What a failure means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// It may pass: the server is overloaded, restarts, or cannot be reached.
    Passing,
    /// The credentials are refused.
    Denied,
    /// There is no such object.
    Absent,
    /// The object is not the one that was asked for, or ends before the range.
    Replaced,
    /// Another try will not help.
    Final,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, reason: impl Into<String>, hint: Option<RemoteHint>) -> Self {
        Self { kind, reason: reason.into(), hint, status: None }
    }

    /// Makes the failure of an answer whose content is not as long as was asked for, or that breaks off.
    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self::new(FailureKind::Passing, reason, Some(RemoteHint::Patience))
    }

    /// Returns what an error of a store of this kind means.
    pub(super) fn of(error: &object_store::Error, store: StoreKind) -> Self {
        let mut source: Option<&(dyn Error + 'static)> = Some(error);
        let mut last = String::new();
        let mut words = String::new();
        let mut transport = None;
        while let Some(cause) = source {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return Self { status: Some(refusal.status), ..Self::of_refusal(refusal, store) };
            }
            if let Some(error) = cause.downcast_ref::<HttpError>() {
                transport = Some(error.kind());
            }
            last = cause.to_string();
            words = format!("{words} {last}");
            source = cause.source();
        }
        let words = words.to_ascii_lowercase();
        if words.contains("certificate") || words.contains("unknownissuer") {
            return Self::new(FailureKind::Final, last, Some(RemoteHint::Certificate));
        }
        if words.contains("dns error") || words.contains("failed to lookup address") {
            return Self::new(FailureKind::Passing, "its host is not found", Some(RemoteHint::Host));
        }
        if words.contains("connection refused") {
            return Self::new(
                FailureKind::Passing,
                "its server refuses the connection",
                Some(RemoteHint::Closed),
            );
        }
        if words.contains("url scheme is not allowed") {
            let hint = RemoteHint::Unencrypted { prefix: String::new() };
            return Self::new(FailureKind::Final, "its endpoint is not encrypted", Some(hint));
        }
        let is_builder = matches!(error, object_store::Error::UnknownConfigurationKey { .. });
        match transport {
            Some(HttpErrorKind::Timeout) => Self::broken("the server did not answer in time"),
            _ if is_builder => Self::new(FailureKind::Final, last, None),
            _ => Self::broken(last),
        }
    }

    fn of_refusal(refusal: &Refusal, store: StoreKind) -> Self {
        let Refusal { status, region, is_web_page, words } = refusal;
        let code = code_of(words);
        let said = code.as_ref().map_or_else(String::new, |code| format!(" ({code})"));
        let reason = format!("the server answered with status {status}{said}");
        let known = |code: &str| words.contains(code);
        let (kind, hint) = match status {
            200..=299 if *is_web_page => {
                let reason = "the server sent a web page instead of the file";
                return Self::new(FailureKind::Final, reason, Some(RemoteHint::WebPage));
            }
            200..=299 => {
                let reason = "the server does not answer requests for byte ranges: it sent the whole file";
                return Self::new(FailureKind::Final, reason, Some(RemoteHint::Ranges));
            }
            300..=399 => (FailureKind::Final, Some(RemoteHint::Region(region.clone()))),
            400 if known("AuthorizationHeaderMalformed") || known("IllegalLocationConstraint") => {
                let named = element(words, "Region").map(str::to_owned).or_else(|| region.clone());
                (FailureKind::Final, Some(RemoteHint::Region(named)))
            }
            403 if known("RequestTimeTooSkewed") => (FailureKind::Final, Some(RemoteHint::Clock)),
            400 if known("ExpiredToken") || known("InvalidToken") => {
                (FailureKind::Denied, Some(RemoteHint::Credentials { from: None, store }))
            }
            401 | 403 => (FailureKind::Denied, Some(RemoteHint::Credentials { from: None, store })),
            404 | 410 => (FailureKind::Absent, Some(RemoteHint::Name)),
            412 | 416 => (FailureKind::Replaced, None),
            408 | 425 | 429 | 500..=599 => (FailureKind::Passing, Some(RemoteHint::Patience)),
            _ => (FailureKind::Final, None),
        };
        Self::new(kind, reason, hint)
    }
}

/// Returns the code of an error that an answer in XML names.
fn code_of(words: &str) -> Option<&str> {
    element(words, "Code").filter(|code| code.len() < 64)
}

/// Returns the text of the first element of this name.
fn element<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = words.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, words: &str) -> Failure {
        let refusal =
            Refusal { status, region: None, is_web_page: words.starts_with("<html"), words: words.into() };
        Failure::of_refusal(&refusal, StoreKind::S3)
    }

    #[test]
    fn refusals_are_told_apart() {
        let code = |code: &str| format!("<Error><Code>{code}</Code><Region>eu-1</Region></Error>");
        let credentials = Some(RemoteHint::Credentials { from: None, store: StoreKind::S3 });
        for (status, words, kind, hint) in [
            (200, "<html>".to_owned(), FailureKind::Final, Some(RemoteHint::WebPage)),
            (200, String::new(), FailureKind::Final, Some(RemoteHint::Ranges)),
            (301, String::new(), FailureKind::Final, Some(RemoteHint::Region(None))),
            (
                400,
                code("AuthorizationHeaderMalformed"),
                FailureKind::Final,
                Some(RemoteHint::Region(Some("eu-1".to_owned()))),
            ),
            (400, code("ExpiredToken"), FailureKind::Denied, credentials.clone()),
            (400, code("Other"), FailureKind::Final, None),
            (401, String::new(), FailureKind::Denied, credentials.clone()),
            (403, code("AccessDenied"), FailureKind::Denied, credentials),
            (403, code("RequestTimeTooSkewed"), FailureKind::Final, Some(RemoteHint::Clock)),
            (404, code("NoSuchKey"), FailureKind::Absent, Some(RemoteHint::Name)),
            (412, String::new(), FailureKind::Replaced, None),
            (416, String::new(), FailureKind::Replaced, None),
            (429, String::new(), FailureKind::Passing, Some(RemoteHint::Patience)),
            (503, code("SlowDown"), FailureKind::Passing, Some(RemoteHint::Patience)),
        ] {
            let failure = of(status, &words);
            assert_eq!((failure.kind, &failure.hint), (kind, &hint), "{status} {words}");
        }
        assert_eq!(
            of(403, &code("AccessDenied")).reason,
            "the server answered with status 403 (AccessDenied)"
        );
    }
}
