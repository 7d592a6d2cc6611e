//! The bytes of an answer on a connection.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::TcpStream,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    clock,
    closing::Closing,
    fault::{End, Faults},
    log::Entry,
    reply::Reply,
    store::Store,
};

/// The largest number of bytes sent at once.
const PIECE: u64 = 1 << 18;

/// How often a limited connection sends something.
const PIECES_PER_SECOND: u64 = 50;

/// How much time a limited connection may make up for when its thread was late.
const LATENESS: Duration = Duration::from_millis(100);

/// A connection on which an answer is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) store: &'a Store,
    pub(crate) closing: &'a Closing,
    pub(crate) entry: &'a Entry,
}

impl Sender<'_> {
    /// Sends an answer; only its head to a `HEAD`. `keeps` says whether the client may use the connection again.
    pub(crate) fn send(self, reply: &Reply, faults: &Faults, is_head: bool, keeps: bool) -> io::Result<()> {
        let mut length = reply.body.length();
        let (lacking, is_told) = if is_head { (0, true) } else { faults.short() };
        length = length.saturating_sub(lacking);
        let told = (is_told && reply.status != 304).then_some(length);
        (&*self.stream).write_all(head(reply, told, keeps).as_bytes())?;
        if is_head { Ok(()) } else { self.body(reply, faults, length) }
    }

    fn body(self, reply: &Reply, faults: &Faults, length: u64) -> io::Result<()> {
        let end = match faults.end() {
            End::Whole => length,
            End::Closed { after } | End::Reset { after } => after.min(length),
        };
        let mut stall = faults.stall();
        let mut pace = Pace::new();
        let (mut offset, mut piece) = (0, Vec::new());
        while offset < end {
            if let Some((_, how_long)) = stall.take_if(|(after, _)| *after == offset) {
                self.closing.wait(how_long)?;
            }
            let most = stall.map_or(end, |(after, _)| after.min(end)) - offset;
            let size = pace.wait(most, self.store, self.closing)?;
            piece.resize(size as usize, 0);
            reply.body.read(offset, &mut piece)?;
            faults.flip(&mut piece, offset);
            self.write(&piece)?;
            offset += size;
        }
        Ok(())
    }

    /// Writes a piece of the body, and counts its bytes.
    fn write(self, mut piece: &[u8]) -> io::Result<()> {
        self.entry.count(piece.len() as u64);
        let mut stream = self.stream;
        while !piece.is_empty() {
            match stream.write(piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) if written > 0 => piece = &piece[written..],
                stopped => {
                    self.entry.discount(piece.len() as u64);
                    return Err(stopped.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
                }
            }
        }
        Ok(())
    }
}

/// The time of the pieces of a body.
#[derive(Debug)]
struct Pace {
    /// When the last piece was due.
    due: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Waits until the next piece is due. Returns its size, `most` at most.
    fn wait(&mut self, most: u64, store: &Store, closing: &Closing) -> io::Result<u64> {
        let Some(rate) = store.rate() else { return Ok(most.min(PIECE)) };
        let size = (rate / PIECES_PER_SECOND).clamp(1, PIECE).min(most);
        let earliest = Instant::now().checked_sub(LATENESS);
        let last = earliest.map_or(self.due, |earliest| self.due.max(earliest));
        self.due = last + Duration::from_secs_f64(size as f64 / rate.max(1) as f64);
        closing.wait_until(self.due)?;
        Ok(size)
    }
}

/// Returns the head of an answer. `length` is that of its body, if the head tells it.
fn head(reply: &Reply, length: Option<u64>, keeps: bool) -> String {
    let date = clock::http_date(SystemTime::now());
    let mut head = format!("HTTP/1.1 {} {}\r\nDate: {date}\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if let Some(length) = length {
        let _ = write!(head, "Content-Length: {length}\r\n");
    }
    if !keeps {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}
