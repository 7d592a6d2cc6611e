//! Lists of objects, by pages.

use std::{fmt::Write, time::SystemTime};

use crate::{
    clock, escape,
    folder::Folder,
    refusal::{DECLARATION, Dialect, Refusal},
    request::Request,
};

/// What a request for a list wants.
#[derive(Debug)]
struct Wish {
    prefix: String,
    delimiter: Option<String>,
    /// Only names behind this one.
    after: String,
    /// Only names from this one on.
    from: String,
    most: usize,
}

impl Wish {
    /// Reads the query of a request. `page` is the server's own limit of names in an answer.
    fn read(request: &Request, dialect: Dialect, page: usize) -> Result<Self, Refusal> {
        let (token, start, most) = match dialect {
            Dialect::S3 => ("continuation-token", "start-after", "max-keys"),
            Dialect::Azure => ("marker", "startFrom", "maxresults"),
        };
        let token = request.parameter(token).filter(|token| !token.is_empty());
        let reached = token.map(|token| from_hex(&token).ok_or(Refusal::BadToken)).transpose()?;
        let start = request.parameter(start).unwrap_or_default();
        let (after, from) =
            if dialect == Dialect::Azure { (String::new(), start) } else { (start, String::new()) };
        let most =
            request.parameter(most).map(|most| most.parse().map_err(|_| Refusal::BadToken)).transpose()?;
        Ok(Self {
            prefix: request.parameter("prefix").unwrap_or_default(),
            delimiter: request.parameter("delimiter").filter(|delimiter| !delimiter.is_empty()),
            after: reached.unwrap_or(after),
            from,
            most: page.min(most.unwrap_or(page)),
        })
    }

    /// Returns the name under which a key is listed: itself, or the part up to a delimiter behind the prefix.
    fn name<'a>(&self, key: &'a str) -> Option<Name<'a>> {
        let rest = key.strip_prefix(&self.prefix)?;
        let end = self.delimiter.as_ref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        Some(end.map_or(Name::Key(key), |end| Name::Prefix(&key[..self.prefix.len() + end])))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name<'a> {
    Key(&'a str),
    Prefix(&'a str),
}

impl<'a> Name<'a> {
    fn text(self) -> &'a str {
        let (Self::Key(text) | Self::Prefix(text)) = self;
        text
    }
}

/// A part of a list.
#[derive(Debug)]
struct Page {
    items: Vec<Item>,
    /// What the next request has to name, if there are more.
    token: Option<String>,
}

#[derive(Debug)]
enum Item {
    Object { key: String, length: u64, modified: SystemTime, etag: String },
    Prefix(String),
}

impl Page {
    fn new(folder: &Folder, bucket: &str, wish: &Wish) -> Self {
        let keys = folder.keys(bucket);
        let mut names: Vec<_> = keys.iter().filter_map(|key| wish.name(key)).collect();
        names.dedup();
        names.retain(|name| name.text() > wish.after.as_str() && name.text() >= wish.from.as_str());
        let is_cut = names.len() > wish.most;
        names.truncate(wish.most);
        let token = names.last().filter(|_| is_cut).map(|name| to_hex(name.text()));
        Self { items: names.into_iter().filter_map(|name| item(folder, bucket, name)).collect(), token }
    }
}

/// Returns the item of a name; `None` for a file that is gone by now.
fn item(folder: &Folder, bucket: &str, name: Name) -> Option<Item> {
    let Name::Key(key) = name else { return Some(Item::Prefix(name.text().to_owned())) };
    let object = folder.open(&format!("{bucket}/{key}"))?;
    Some(Item::Object {
        key: key.to_owned(),
        length: object.length,
        modified: object.modified,
        etag: object.etag,
    })
}

/// Returns the document that answers a request for a list of a bucket's objects.
pub(crate) fn document(
    folder: &Folder,
    bucket: &str,
    request: &Request,
    dialect: Dialect,
    page: usize,
) -> Result<String, Refusal> {
    if !folder.has_bucket(bucket) {
        return Err(Refusal::NoBucket);
    }
    let wish = Wish::read(request, dialect, page)?;
    let page = Page::new(folder, bucket, &wish);
    let document =
        if dialect == Dialect::Azure { azure(bucket, &wish, &page) } else { s3(bucket, &wish, &page) };
    Ok(document)
}

/// Returns a page as S3 has it: the objects, then the common prefixes.
fn s3(bucket: &str, wish: &Wish, page: &Page) -> String {
    let (mut objects, mut prefixes) = (String::new(), String::new());
    for item in &page.items {
        let _ = match item {
            Item::Object { key, length, modified, etag } => write!(
                objects,
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{etag}&quot;</ETag>\
                 <Size>{length}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                escape::xml(key),
                clock::iso_date(*modified),
            ),
            Item::Prefix(prefix) => {
                write!(prefixes, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape::xml(prefix))
            }
        };
    }
    let next =
        page.token.as_ref().map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    format!(
        "{DECLARATION}<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{}</MaxKeys>\
         <IsTruncated>{}</IsTruncated>{}{objects}{prefixes}</ListBucketResult>",
        escape::xml(bucket),
        escape::xml(&wish.prefix),
        page.items.len(),
        wish.most,
        page.token.is_some(),
        next.unwrap_or_default(),
    )
}

/// Returns a page as Azure has it: objects and prefixes in one order, each `ETag` without quotes.
fn azure(container: &str, wish: &Wish, page: &Page) -> String {
    let mut blobs = String::new();
    for item in &page.items {
        let _ = match item {
            Item::Object { key, length, modified, etag } => write!(
                blobs,
                "<Blob><Name>{}</Name><Properties><Last-Modified>{}</Last-Modified><Etag>{etag}</Etag>\
                 <Content-Length>{length}</Content-Length>\
                 <Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>\
                 </Properties></Blob>",
                escape::xml(key),
                clock::http_date(*modified),
            ),
            Item::Prefix(prefix) => {
                write!(blobs, "<BlobPrefix><Name>{}</Name></BlobPrefix>", escape::xml(prefix))
            }
        };
    }
    format!(
        "{DECLARATION}<EnumerationResults ContainerName=\"{}\"><Prefix>{}</Prefix>\
         <MaxResults>{}</MaxResults><Blobs>{blobs}</Blobs><NextMarker>{}</NextMarker></EnumerationResults>",
        escape::xml(container),
        escape::xml(&wish.prefix),
        wish.most,
        page.token.as_deref().unwrap_or_default(),
    )
}

/// Writes a name as a token, so that no client can take it for one.
fn to_hex(name: &str) -> String {
    name.bytes().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}

fn from_hex(token: &str) -> Option<String> {
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let bytes = token.as_bytes().chunks(2).map(byte).collect::<Option<_>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back() {
        for name in ["a/b c.tar", "é&<"] {
            assert_eq!(from_hex(&to_hex(name)).as_deref(), Some(name));
        }
        assert_eq!(from_hex("xy"), None);
        assert_eq!(from_hex("ff"), None);
    }
}
