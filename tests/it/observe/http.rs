//! A reader of `--listen`.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Everything before the body.
    pub(super) head: String,
    pub(super) body: String,
}

/// Waits until a run listens. Returns the address, with its port.
pub(super) fn address(run: &Path, child: &mut Child) -> String {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Ok(text) = fs::read_to_string(run.join("listen")) {
            return text.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        }
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        assert!(Instant::now() < deadline, "the run does not listen");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Connects. A read fails after a while, so that no test hangs.
pub(super) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.replace("0.0.0.0", "127.0.0.1")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends a request and reads the whole answer. A server may close a connection before it has read all of the request.
pub(super) fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = connect(address);
    drop(stream.write_all(request(address, method, path, headers).as_bytes()));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub(super) fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, &[])
}

/// Returns a request, with the address as `Host` unless `headers` have one.
pub(super) fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let host = [("host", address)];
    let is_named = headers.iter().any(|(name, _)| *name == "host");
    for (name, value) in headers.iter().chain(host.iter().filter(|_| !is_named)) {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text + "\r\n"
}
