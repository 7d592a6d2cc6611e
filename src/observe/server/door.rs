//! Who is let in.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{AUTHORIZATION, COOKIE, HOST},
};

use super::token::Token;

/// The cookie that has the token.
pub(super) const COOKIE_NAME: &str = "amdim_stream_token";

/// The rules by which requests are answered.
#[derive(Debug)]
pub(crate) struct Door {
    /// The token that each request needs.
    pub(crate) token: Option<Token>,
    /// Whether only this machine can reach the address. Then a request must name this machine: else a page of
    /// another origin could read the answers, after it has let its own name point to this machine (DNS rebinding).
    pub(crate) is_loopback: bool,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is answered.
    Enter,
    /// It came with the token in its address: the browser is to keep the token as a cookie, and to ask again for this
    /// path without it.
    Remember {
        /// The path.
        path: String,
        /// The token.
        token: String,
    },
    /// It is refused.
    Refuse(StatusCode),
}

impl Door {
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Admission {
        let headers = request.headers();
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Admission::Refuse(StatusCode::METHOD_NOT_ALLOWED);
        }
        let is_addressed =
            headers.get_all(HOST).iter().count() == 1 && text(headers, HOST).is_some_and(is_this_machine);
        if self.is_loopback && !is_addressed {
            return Admission::Refuse(StatusCode::FORBIDDEN);
        }
        let Some(token) = &self.token else { return Admission::Enter };
        let bearer = text(headers, AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let cookie = cookies.flat_map(|cookies| cookies.split("; ")).find_map(|cookie| {
            let (name, value) = cookie.split_once('=')?;
            (name == COOKIE_NAME).then_some(value)
        });
        let query = request
            .uri()
            .query()
            .and_then(|query| query.split('&').find_map(|part| part.strip_prefix("token=")));
        if let Some(text) = query.filter(|text| token.is(text)) {
            return Admission::Remember { path: request.uri().path().to_owned(), token: text.to_owned() };
        }
        match bearer.or(cookie) {
            Some(text) if token.is(text) => Admission::Enter,
            _ => Admission::Refuse(StatusCode::UNAUTHORIZED),
        }
    }
}

fn text(headers: &HeaderMap, name: hyper::header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether the header `Host` names this machine, with any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']').map_or(inner, |(address, _)| address),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn asked(door: &Door, method: &str, path: &str, headers: &[(&str, &str)]) -> Admission {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        door.admit(&request.body(()).unwrap())
    }

    #[test]
    fn on_loopback_a_request_must_name_this_machine() {
        let door = Door { token: None, is_loopback: true };
        for host in ["localhost", "localhost:9400", "127.0.0.1:9400", "127.0.0.2", "[::1]:9400", "[::1]"] {
            assert_eq!(asked(&door, "GET", "/", &[("host", host)]), Admission::Enter, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9400",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::2]",
            "",
        ] {
            let refused = Admission::Refuse(StatusCode::FORBIDDEN);
            assert_eq!(asked(&door, "GET", "/", &[("host", host)]), refused, "{host}");
        }
        assert_eq!(asked(&door, "GET", "/", &[]), Admission::Refuse(StatusCode::FORBIDDEN));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
            let refused = Admission::Refuse(StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(asked(&door, method, "/", &[("host", "localhost")]), refused);
        }
    }

    #[test]
    fn with_a_token_it_is_asked_for_in_every_request() {
        let door = Door { token: Some(Token::made_up(TOKEN)), is_loopback: false };
        let refused = Admission::Refuse(StatusCode::UNAUTHORIZED);
        assert_eq!(asked(&door, "GET", "/metrics", &[]), refused);
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(asked(&door, "GET", "/metrics", &[("authorization", &bearer)]), Admission::Enter);
        assert_eq!(asked(&door, "GET", "/metrics", &[("authorization", TOKEN)]), refused);
        let cookie = format!("a=b; {COOKIE_NAME}={TOKEN}");
        assert_eq!(asked(&door, "HEAD", "/", &[("cookie", &cookie)]), Admission::Enter);
        let wrong = format!("{COOKIE_NAME}={TOKEN}0");
        assert_eq!(asked(&door, "GET", "/", &[("cookie", &wrong)]), refused);
        let remember = Admission::Remember { path: "/report.html".to_owned(), token: TOKEN.to_owned() };
        assert_eq!(asked(&door, "GET", &format!("/report.html?a=1&token={TOKEN}"), &[]), remember);
        assert_eq!(asked(&door, "GET", "/?token=no", &[("host", "localhost")]), refused);
    }
}
