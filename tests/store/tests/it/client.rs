//! A client of HTTP that hides nothing.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use store_server::Server;

/// Only against tests that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server.
pub(crate) struct Client(BufReader<TcpStream>);

/// An answer, or what came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How the body ended before it was complete.
    pub(crate) broken: Option<io::ErrorKind>,
}

impl Client {
    pub(crate) fn of(server: &Server) -> Self {
        Self::connect(server.address()).unwrap()
    }

    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends text as it is.
    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Asks and receives the answer.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[&str]) -> Answer {
        self.try_ask(method, target, headers).unwrap()
    }

    pub(crate) fn try_ask(&mut self, method: &str, target: &str, headers: &[&str]) -> io::Result<Answer> {
        let first = format!("{method} {target} HTTP/1.1");
        let request = [&[&first, "Host: localhost"], headers, &["\r\n"]].concat().join("\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        self.receive(method == "HEAD")
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }

    pub(crate) fn range(&mut self, target: &str, range: &str) -> Answer {
        self.ask("GET", target, &[&format!("Range: bytes={range}")])
    }

    /// Receives an answer. Fails if the connection ends before its head is complete.
    pub(crate) fn receive(&mut self, is_head: bool) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new(), broken: None };
        if !is_head && status != 304 {
            self.body(&mut answer);
        }
        Ok(answer)
    }

    fn body(&mut self, answer: &mut Answer) {
        let length: Option<u64> = answer.header("content-length").map(|length| length.parse().unwrap());
        let read = (&mut self.0).take(length.unwrap_or(u64::MAX)).read_to_end(&mut answer.body);
        answer.broken = match (read, length) {
            (Err(error), _) => Some(error.kind()),
            (Ok(read), Some(length)) if (read as u64) < length => Some(io::ErrorKind::UnexpectedEof),
            (Ok(_), _) => None,
        };
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let line = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(line.to_owned())
    }

    /// Whether the server closes the connection in order, without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

impl Answer {
    pub(crate) fn header(&self, lower_case: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == lower_case).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Returns the contents of all XML elements of a name.
    pub(crate) fn elements(&self, name: &str) -> Vec<&str> {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        self.text().split(&start).skip(1).map(|rest| rest.split(&end).next().unwrap()).collect()
    }
}
