//! Answers to requests.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, time::SystemTime};

use crate::{
    clock,
    fault::Faults,
    folder::{Folder, Object},
    listing,
    range::{self, Wanted},
    refusal::{Dialect, Refusal},
    request::Request,
    settings::Settings,
};

/// An answer, without the headers that each has.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    Part(File, Range<u64>),
}

impl Body {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part(_, part) => part.end - part.start,
        }
    }

    /// Reads a piece at an offset. Fails if the file has become shorter.
    pub(crate) fn read(&self, offset: u64, piece: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => {
                piece.copy_from_slice(&bytes[offset as usize..][..piece.len()]);
                Ok(())
            }
            Self::Part(file, part) => file.read_exact_at(piece, part.start + offset),
        }
    }
}

/// A request together with what it is about.
#[derive(Debug)]
pub(crate) struct Subject {
    request: Request,
    dialect: Dialect,
    /// The path without escapes and without an account of Azure; `None` if it is malformed.
    path: Option<String>,
    object: Option<Object>,
}

impl Subject {
    /// Looks up what a request is about.
    pub(crate) fn find(request: Request, folder: &Folder, settings: &Settings) -> Self {
        let decoded = request.decoded_path();
        let (mut dialect, mut path) = (Dialect::S3, decoded);
        let rest = path.as_ref().and_then(|path| path.strip_prefix(&settings.account)?.strip_prefix('/'));
        if let Some(rest) = rest {
            (dialect, path) = (Dialect::Azure, Some(rest.to_owned()));
        }
        if request.header("x-ms-version").is_some() || request.parameter("restype").is_some() {
            dialect = Dialect::Azure;
        }
        let object = path.as_ref().and_then(|path| folder.open(path));
        Self { request, dialect, path, object }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the bytes of the object that a range asks for.
    pub(crate) fn range(&self) -> Option<Range<u64>> {
        match self.wanted(self.object.as_ref()?) {
            Wanted::Part(range) => Some(range),
            Wanted::Everything | Wanted::Nothing => None,
        }
    }

    /// Returns what is wanted of an object. Ranges are for `GET` only.
    fn wanted(&self, object: &Object) -> Wanted {
        let header = self.request.header("range").filter(|_| self.request.method == "GET");
        range::wanted(header, object.length)
    }

    /// Returns the answer, with its faults.
    pub(crate) fn reply(self, folder: &Folder, settings: &Settings, faults: &Faults) -> Reply {
        if let Some(other) = faults.other_answer() {
            let body = Body::Bytes(other.body.to_vec());
            return Reply { status: other.status, headers: other.headers.to_vec(), body };
        }
        let (dialect, path) = (self.dialect, self.path.clone().unwrap_or_default());
        let result = self.right(folder, settings, faults);
        let mut reply = result.unwrap_or_else(|refusal| refused(refusal, dialect, &path));
        match dialect {
            Dialect::S3 => reply.add("x-amz-request-id", "0"),
            Dialect::Azure => reply.add("x-ms-request-id", "0"),
        }
        reply
    }

    fn right(self, folder: &Folder, settings: &Settings, faults: &Faults) -> Result<Reply, Refusal> {
        if settings.requires_authorization && !self.request.is_authorized() {
            return Err(Refusal::Unauthorized);
        }
        if !matches!(self.request.method.as_str(), "GET" | "HEAD") {
            return Err(Refusal::OtherMethod);
        }
        let path = self.path.as_ref().ok_or(Refusal::BadRequest)?;
        let is = |name, value: &str| self.request.parameter(name).is_some_and(|found| found == value);
        let bucket = path.strip_suffix('/').unwrap_or(path);
        if !bucket.contains('/') && (is("list-type", "2") || is("comp", "list")) {
            let list = listing::document(folder, bucket, &self.request, self.dialect, settings.page)?;
            let mut reply = Reply { status: 200, headers: Vec::new(), body: Body::Bytes(list.into_bytes()) };
            reply.add("Content-Type", "application/xml");
            return Ok(reply);
        }
        match self.object {
            Some(_) => self.contents(faults),
            None => Err(match path.split_once('/') {
                Some((bucket, _)) if !folder.has_bucket(bucket) => Refusal::NoBucket,
                _ => Refusal::NoObject,
            }),
        }
    }

    /// Returns an object or a part of it.
    fn contents(self, faults: &Faults) -> Result<Reply, Refusal> {
        let object = self.object.as_ref().ok_or(Refusal::NoObject)?;
        let etag = faults.etag(format!("\"{}\"", object.etag));
        let mut reply = Reply { status: 200, headers: Vec::new(), body: Body::Bytes(Vec::new()) };
        reply.describe(object.modified, etag.as_deref(), faults);
        if self.dialect == Dialect::Azure {
            reply.add("x-ms-version", self.request.header("x-ms-version").unwrap_or("2023-11-03"));
            reply.add("x-ms-blob-type", "BlockBlob");
        }
        if !faults.ignores_conditions() {
            let has = |name| self.request.header(name).map(|tags| names(tags, etag.as_deref()));
            if has("if-match") == Some(false) {
                return Err(Refusal::Condition);
            }
            if has("if-none-match") == Some(true) {
                reply.status = 304;
                return Ok(reply);
            }
        }
        let length = object.length;
        let range = match self.wanted(object) {
            Wanted::Part(range) if !faults.ignores_range() => {
                let range = faults.range(range, length);
                reply.status = 206;
                reply.add("Content-Range", &format!("bytes {}-{}/{length}", range.start, range.end - 1));
                range
            }
            Wanted::Nothing if !faults.ignores_range() => return Err(Refusal::Range),
            _ => 0..length,
        };
        let object = self.object.ok_or(Refusal::NoObject)?;
        reply.body = Body::Part(object.file, range);
        Ok(reply)
    }
}

impl Reply {
    fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Adds the headers that describe an object.
    fn describe(&mut self, modified: SystemTime, etag: Option<&str>, faults: &Faults) {
        self.add("Content-Type", "application/octet-stream");
        self.add("Accept-Ranges", "bytes");
        if let Some(etag) = etag {
            self.add("ETag", etag);
        }
        if faults.has_last_modified() {
            self.add("Last-Modified", &clock::http_date(modified));
        }
    }
}

/// Whether a condition names an `ETag`. Quotes are left aside, as Azure's lists have none.
fn names(tags: &str, etag: Option<&str>) -> bool {
    let bare = |tag: &str| tag.trim().trim_matches('"').to_owned();
    tags.trim() == "*" || etag.is_some_and(|etag| tags.split(',').any(|tag| bare(tag) == bare(etag)))
}

fn refused(refusal: Refusal, dialect: Dialect, path: &str) -> Reply {
    let document = refusal.document(dialect, path);
    let mut reply =
        Reply { status: refusal.status(), headers: Vec::new(), body: Body::Bytes(document.into_bytes()) };
    reply.add("Content-Type", "application/xml");
    match refusal {
        Refusal::OtherMethod => reply.add("Allow", "GET, HEAD"),
        Refusal::Range => reply.add("Accept-Ranges", "bytes"),
        _ => {}
    }
    if dialect == Dialect::Azure {
        reply.add("x-ms-error-code", refusal.code(dialect));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_name_etags_with_and_without_quotes() {
        for tags in ["\"a\"", "a", "\"b\", \"a\"", "*"] {
            assert!(names(tags, Some("\"a\"")), "{tags}");
        }
        assert!(!names("\"b\"", Some("\"a\"")));
        assert!(!names("\"a\"", None));
        assert!(names("*", None));
    }
}
