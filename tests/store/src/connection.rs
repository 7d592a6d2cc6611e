//! A connection and its requests.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use crate::{
    closing::Closing,
    fault::{End, Faults},
    reply::{Reply, Subject},
    request::Request,
    send::Sender,
    store::Store,
};

/// A head may be as long as this.
const LONGEST_HEAD: usize = 1 << 16;

/// Answers the requests of a connection in turn until either side is done with it.
///
/// The last byte of a head is read only once the answer is certain not to be a reset: a socket that is closed
/// with unread bytes resets its connection.
pub(crate) fn serve(
    mut stream: &TcpStream,
    number: usize,
    store: &Store,
    closing: &Closing,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(head) = next_head(stream)? {
        let Some(request) = Request::parse(&head) else { return refuse(stream, 400, "Bad Request") };
        let Some(body) = request.body_length() else { return refuse(stream, 411, "Length Required") };
        if !answer(stream, request, body, number, store, closing)? {
            break;
        }
    }
    stream.flush()
}

/// Answers a request. Returns whether the connection goes on.
fn answer(
    stream: &TcpStream,
    request: Request,
    body: u64,
    number: usize,
    store: &Store,
    closing: &Closing,
) -> io::Result<bool> {
    let settings = store.settings();
    let (is_head, wants_more) = (request.method == "HEAD", request.keeps_connection());
    let subject = Subject::find(request, &store.folder, &settings);
    let (asked, faults) = store.ask(&subject, number);
    let delay = settings.delay + faults.delay();
    if faults.closes_before() {
        let entry = store.log.begin(asked, None);
        closing.wait(delay)?;
        store.log.end(&entry);
        return Ok(false);
    }
    let reply = subject.reply(&store.folder, &settings, &faults);
    let entry = store.log.begin(asked, Some(reply.status));
    let sender = Sender { stream, store, closing, entry: &entry };
    let sent =
        closing.wait(delay).and_then(|()| exchange(sender, body, &reply, &faults, is_head, wants_more));
    store.log.end(&entry);
    sent
}

/// Reads the rest of a request, and sends the answer. Returns whether the connection goes on.
fn exchange(
    sender: Sender,
    body: u64,
    reply: &Reply,
    faults: &Faults,
    is_head: bool,
    wants_more: bool,
) -> io::Result<bool> {
    let end = faults.end();
    if !matches!(end, End::Reset { .. }) {
        skip(sender.stream, body + 1)?;
    }
    let tells_length = is_head || faults.short().1;
    let keeps = wants_more && tells_length;
    sender.send(reply, faults, is_head, keeps)?;
    Ok(keeps && end == End::Whole)
}

/// Reads the next head but for its last byte; `None` when the client has closed the connection.
fn next_head(mut stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let (mut head, mut piece) = (Vec::new(), vec![0; 1 << 13]);
    loop {
        let length = stream.peek(&mut piece)?;
        if length == 0 {
            return Ok(None);
        }
        let before = head.len();
        head.extend_from_slice(&piece[..length]);
        if let Some(end) = end_of_head(&head, before) {
            stream.read_exact(&mut piece[..end - before - 1])?;
            head.truncate(end);
            return Ok(Some(head));
        }
        if head.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.read_exact(&mut piece[..length])?;
    }
}

/// Returns the length of a head, which does not end among the first `known` bytes.
fn end_of_head(bytes: &[u8], known: usize) -> Option<usize> {
    let start = known.saturating_sub(3);
    bytes[start..].windows(4).position(|four| four == b"\r\n\r\n").map(|place| start + place + 4)
}

/// Reads the given number of bytes.
fn skip(stream: &TcpStream, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut stream.take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Answers what is not a request.
fn refuse(mut stream: &TcpStream, status: u16, reason: &str) -> io::Result<()> {
    skip(stream, 1)?;
    write!(stream, "HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
