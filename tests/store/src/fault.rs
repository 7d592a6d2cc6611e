//! What a server does instead of a right answer.

use std::{ops::Range, time::Duration};

use crate::refusal;

/// One way in which an answer differs from the right one. A script returns several of them to combine them,
/// such as [`Fault::IgnoreConditions`] with [`Fault::ETag`].
///
/// Offsets count the bytes of the answer's body, not of the object; at one behind its end, nothing is changed and
/// nothing pauses. An answer without a body, such as that of a `HEAD`, has no faults of the body, but the
/// connection is still closed or reset after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits before the answer, on top of the delay of the server.
    Delay(Duration),
    /// Resets the connection before the first byte of an answer.
    CloseBefore,
    /// Answers with another status, headers and body. Content-Length and Date are added.
    Status {
        /// The status code.
        status: u16,
        /// Further headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Closes the connection in order after a part of the body that the head announces.
    Cut {
        /// The number of bytes before.
        after: u64,
    },
    /// Resets the connection after a part of the body that the head announces. The last of these bytes can be
    /// lost, as with every reset.
    Reset {
        /// The number of bytes before.
        after: u64,
    },
    /// Leaves out the end of the body, and announces the shorter length. Content-Range stays as it was.
    Short {
        /// The number of bytes left out.
        by: u64,
        /// Without it, the answer has no Content-Length, and the closed connection is the body's end.
        with_length: bool,
    },
    /// Pauses in the body, and goes on.
    Stall {
        /// The number of bytes before; 0 pauses after the head.
        after: u64,
        /// The pause. It ends early when the server is stopped.
        how_long: Duration,
    },
    /// Answers a range with one beside it, in Content-Range and body. If the range was everything, its first byte
    /// is left out.
    WrongRange,
    /// Answers a range with status 200 and everything.
    IgnoreRange,
    /// Answers as if there were neither `If-Match` nor `If-None-Match`.
    IgnoreConditions,
    /// Has another `ETag`: the header's value, quotes included. Conditions are compared with it.
    ETag(String),
    /// Has no `ETag`.
    NoETag,
    /// Has no Last-Modified.
    NoLastModified,
    /// Inverts a byte of the body.
    Flip {
        /// The place of the byte.
        at: u64,
    },
}

impl Fault {
    /// Answers with a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Answers with a status and a header, such as 429 with Retry-After.
    pub fn status_with(status: u16, header: &str, value: &str) -> Self {
        Self::Status { status, headers: vec![(header.to_owned(), value.to_owned())], body: Vec::new() }
    }

    /// Answers with an error document as S3 and Google send it.
    pub fn s3_error(status: u16, code: &str) -> Self {
        let body = refusal::s3_document(code, "by script", "").into_bytes();
        Self::Status {
            status,
            headers: vec![("Content-Type".to_owned(), "application/xml".to_owned())],
            body,
        }
    }

    /// Answers as S3 does for a bucket of another region: 301 with its region and no Location.
    pub fn other_region(region: &str) -> Self {
        let Self::Status { status, mut headers, body } = Self::s3_error(301, "PermanentRedirect") else {
            unreachable!("an error is a status");
        };
        headers.push(("x-amz-bucket-region".to_owned(), region.to_owned()));
        Self::Status { status, headers, body }
    }

    /// Answers as a login page of a proxy does: 200 with HTML.
    pub fn html_page() -> Self {
        Self::Status {
            status: 200,
            headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
            body: b"<html><body>Please log in.</body></html>\n".to_vec(),
        }
    }
}

/// The faults of one answer.
#[derive(Debug)]
pub(crate) struct Faults(Vec<Fault>);

/// An answer that has nothing to do with its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherAnswer<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a [u8],
}

/// How a connection ends within a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After the whole body, if at all.
    Whole,
    Closed {
        after: u64,
    },
    Reset {
        after: u64,
    },
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self(faults)
    }

    fn has(&self, fault: &Fault) -> bool {
        self.0.contains(fault)
    }

    pub(crate) fn delay(&self) -> Duration {
        self.0.iter().map(|fault| if let Fault::Delay(delay) = fault { *delay } else { Duration::ZERO }).sum()
    }

    pub(crate) fn closes_before(&self) -> bool {
        self.has(&Fault::CloseBefore)
    }

    pub(crate) fn ignores_range(&self) -> bool {
        self.has(&Fault::IgnoreRange)
    }

    pub(crate) fn ignores_conditions(&self) -> bool {
        self.has(&Fault::IgnoreConditions)
    }

    pub(crate) fn has_last_modified(&self) -> bool {
        !self.has(&Fault::NoLastModified)
    }

    /// Returns another answer, if there is to be one.
    pub(crate) fn other_answer(&self) -> Option<OtherAnswer<'_>> {
        self.0.iter().find_map(|fault| match fault {
            Fault::Status { status, headers, body } => Some(OtherAnswer { status: *status, headers, body }),
            _ => None,
        })
    }

    /// Returns the `ETag` header for an object.
    pub(crate) fn etag(&self, right: String) -> Option<String> {
        let other = self.0.iter().find_map(|fault| match fault {
            Fault::ETag(other) => Some(Some(other.clone())),
            Fault::NoETag => Some(None),
            _ => None,
        });
        other.unwrap_or(Some(right))
    }

    /// Returns the range to answer with to a wanted one.
    pub(crate) fn range(&self, wanted: Range<u64>, length: u64) -> Range<u64> {
        let Range { start, end } = wanted;
        if !self.has(&Fault::WrongRange) {
            wanted
        } else if end < length {
            start + 1..end + 1
        } else if start > 0 {
            start - 1..end - 1
        } else {
            1.min(end - 1)..end
        }
    }

    /// Returns how many bytes the body lacks, and whether the head tells its length.
    pub(crate) fn short(&self) -> (u64, bool) {
        let short = self.0.iter().find_map(|fault| match fault {
            Fault::Short { by, with_length } => Some((*by, *with_length)),
            _ => None,
        });
        short.unwrap_or((0, true))
    }

    pub(crate) fn end(&self) -> End {
        let end = self.0.iter().find_map(|fault| match fault {
            Fault::Cut { after } => Some(End::Closed { after: *after }),
            Fault::Reset { after } => Some(End::Reset { after: *after }),
            _ => None,
        });
        end.unwrap_or(End::Whole)
    }

    pub(crate) fn stall(&self) -> Option<(u64, Duration)> {
        self.0.iter().find_map(|fault| match fault {
            Fault::Stall { after, how_long } => Some((*after, *how_long)),
            _ => None,
        })
    }

    /// Inverts the bytes of a piece of the body that are to be wrong.
    pub(crate) fn flip(&self, piece: &mut [u8], offset: u64) {
        for fault in &self.0 {
            let Fault::Flip { at } = fault else { continue };
            let place = at.checked_sub(offset).and_then(|place| usize::try_from(place).ok());
            if let Some(byte) = place.and_then(|place| piece.get_mut(place)) {
                *byte = !*byte;
            }
        }
    }
}
