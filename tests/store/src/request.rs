//! The head of an HTTP request.

use crate::escape;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path with its percent-escapes, from the first `/`.
    path: String,
    /// What follows the `?`, as it came.
    pub(crate) query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    is_http_1_0: bool,
}

impl Request {
    /// Reads a head with the empty line at its end; `None` if it is none.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target, version) = (first.next()?, first.next()?, first.next()?);
        if first.next().is_some() || !version.starts_with("HTTP/1.") {
            return None;
        }
        let target = without_host(target)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.collect::<Option<_>>()?,
            is_http_1_0: version == "HTTP/1.0",
        })
    }

    /// Returns the path without the first `/` and without escapes; `None` if it is malformed or could lead out
    /// of the served folder.
    pub(crate) fn decoded_path(&self) -> Option<String> {
        let path = escape::percent_decoded(self.path.strip_prefix('/')?)?;
        let leads_away = path.contains('\0') || path.split('/').any(|part| part == "..");
        (!leads_away).then_some(path)
    }

    /// Returns the path as it came.
    pub(crate) fn raw_path(&self) -> &str {
        &self.path
    }

    /// Returns a header's value.
    pub(crate) fn header(&self, lower_case: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == lower_case).map(|(_, value)| value.as_str())
    }

    /// Returns a value of the query without escapes.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }

    /// Whether the request has an `Authorization` header or a signed query.
    pub(crate) fn is_authorized(&self) -> bool {
        let signed = ["X-Amz-Signature", "X-Goog-Signature", "Signature", "sig"];
        self.header("authorization").is_some() || signed.iter().any(|name| self.parameter(name).is_some())
    }

    /// Whether the client wants to use the connection again.
    pub(crate) fn keeps_connection(&self) -> bool {
        let closes = self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        !closes && !self.is_http_1_0
    }

    /// Returns the length of the request's body; `None` if only the body tells it.
    pub(crate) fn body_length(&self) -> Option<u64> {
        match (self.header("transfer-encoding"), self.header("content-length")) {
            (Some(_), _) => None,
            (None, Some(length)) => length.parse().ok(),
            (None, None) => Some(0),
        }
    }
}

/// Returns a request's target without the scheme and host that a client of a proxy writes.
fn without_host(target: &str) -> Option<&str> {
    let Some(rest) = target.strip_prefix("http://") else { return target.starts_with('/').then_some(target) };
    Some(rest.find('/').map_or("/", |slash| &rest[slash..]))
}

/// Returns a value of a query without escapes; an empty one for a name without value.
pub(crate) fn parameter(query: &str, wanted: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if escape::query_decoded(name)? == wanted { escape::query_decoded(value) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(first: &str, headers: &[&str]) -> Option<Request> {
        Request::parse(format!("{first}\r\n{}\r\n\r\n", headers.join("\r\n")).as_bytes())
    }

    #[test]
    fn a_head_has_method_path_query_and_headers() {
        let request =
            request("GET /a%20b?list-type=2&prefix=x%2Fy HTTP/1.1", &["Host: h", "RANGE:bytes=1-2 "])
                .unwrap();
        assert_eq!((request.method.as_str(), request.decoded_path().as_deref()), ("GET", Some("a b")));
        assert_eq!(request.parameter("prefix").as_deref(), Some("x/y"));
        assert_eq!(request.parameter("marker"), None);
        assert_eq!(request.header("range"), Some("bytes=1-2"));
        assert!(request.keeps_connection() && !request.is_authorized());
    }

    #[test]
    fn a_signed_query_is_an_authorization() {
        for query in ["X-Amz-Signature=1", "a=b&sig=1", "X-Goog-Signature=x"] {
            assert!(request(&format!("GET /a?{query} HTTP/1.1"), &[]).unwrap().is_authorized(), "{query}");
        }
        assert!(request("GET /a HTTP/1.1", &["authorization: x"]).unwrap().is_authorized());
    }

    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for path in ["/../a", "/a/..", "/%2e%2E/a", "/a%2f..%2fb", "/a%00", "/%"] {
            assert_eq!(request(&format!("GET {path} HTTP/1.1"), &[]).unwrap().decoded_path(), None, "{path}");
        }
        let proxied = request("GET http://host/a..b HTTP/1.1", &[]).unwrap();
        assert_eq!(proxied.decoded_path().as_deref(), Some("a..b"));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for first in ["GET /", "GET / HTTP/2", "GET a HTTP/1.1", "GET / a HTTP/1.1", ""] {
            assert!(request(first, &[]).is_none(), "{first}");
        }
        assert!(request("GET / HTTP/1.1", &["no colon"]).is_none());
    }
}
