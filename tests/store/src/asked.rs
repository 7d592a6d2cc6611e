//! What a script and the log see of a request.

use std::ops::Range;

use crate::request;

/// A request, as a script sees it before it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The number of requests that came before this one since the server was made.
    pub number: usize,
    /// The number of the connection, counted from 0 since the server was made.
    pub connection: usize,
    /// The method, in upper case.
    pub method: String,
    /// The path without the first `/` and without escapes, such as `bucket/train.tar`. A malformed path is as
    /// it came.
    pub path: String,
    /// The query after the `?` as it came, empty if there was none. [`Self::parameter`] reads it.
    pub query: String,
    /// The bytes of the object that a `GET` asks for by `Range`, cut at its end. `None` without such a header,
    /// if no byte of the object lies in the range, and if there is no such object.
    pub range: Option<Range<u64>>,
    /// The `Range` header as it came.
    pub range_header: Option<String>,
    /// The `If-Match` header as it came.
    pub if_match: Option<String>,
    /// The `If-None-Match` header as it came.
    pub if_none_match: Option<String>,
    /// Whether there was an `Authorization` header or a signed query.
    pub authorized: bool,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
}

impl Asked {
    /// Returns a value of the query without escapes.
    pub fn parameter(&self, name: &str) -> Option<String> {
        request::parameter(&self.query, name)
    }

    /// Whether this is a `GET` of a list of objects.
    pub fn is_listing(&self) -> bool {
        let is = |name, value: &str| self.parameter(name).is_some_and(|found| found == value);
        self.method == "GET" && (is("list-type", "2") || is("comp", "list"))
    }
}
