//! Lists of objects, as S3 and Azure have them.

use crate::{
    client::{Answer, Client},
    place::Place,
};

const FILES: [(&str, &[u8]); 6] = [
    ("bucket/val/a & b.tar", b"1"),
    ("bucket/train/01.tar", b"22"),
    ("bucket/train/00.tar", b"333"),
    ("bucket/train.txt", b"4444"),
    ("bucket/train/more/02.tar", b""),
    ("other/x", b"x"),
];

/// The sorted keys of the bucket, in XML.
const KEYS: [&str; 5] =
    ["train.txt", "train/00.tar", "train/01.tar", "train/more/02.tar", "val/a &amp; b.tar"];

/// Asks for all pages; the name of the element with the token and that of the parameter follow the target.
fn pages(client: &mut Client, target: &str, element: &str, parameter: &str) -> Vec<Answer> {
    let mut pages = vec![client.get(target)];
    while let Some(token) = pages.last().unwrap().elements(element).first().filter(|token| !token.is_empty())
    {
        let next = client.get(&format!("{target}&{parameter}={token}"));
        pages.push(next);
    }
    pages
}

/// Returns the contents of the elements of a name on all pages.
fn all<'a>(pages: &'a [Answer], element: &str) -> Vec<&'a str> {
    pages.iter().flat_map(|page| page.elements(element)).collect()
}

#[test]
fn s3_lists_a_bucket_in_order_with_sizes_times_and_etags() {
    let (_place, server) = Place::serving(&FILES);
    let mut client = Client::of(&server);
    let list = client.get("/bucket?list-type=2");
    assert_eq!((list.status, list.header("content-type")), (200, Some("application/xml")));
    assert_eq!(list.elements("Key"), KEYS);
    assert_eq!(list.elements("Size"), ["4", "3", "2", "0", "1"]);
    assert_eq!((list.elements("IsTruncated"), list.elements("KeyCount")), (vec!["false"], vec!["5"]));
    let head = client.ask("HEAD", "/bucket/train/00.tar", &[]);
    assert_eq!(list.elements("ETag")[1].replace("&quot;", "\""), head.header("etag").unwrap());
    let time = list.elements("LastModified")[0].as_bytes();
    assert!(time.len() == 24 && time[10] == b'T' && time.ends_with(b".000Z"));
    assert!(server.requests()[0].asked.is_listing() && !server.requests()[1].asked.is_listing());
}

#[test]
fn prefixes_delimiters_and_starts_choose_names() {
    let (_place, server) = Place::serving(&FILES);
    let mut client = Client::of(&server);
    let mut keys = |query: &str| {
        let list = client.get(&format!("/bucket/?list-type=2&{query}"));
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let prefixes = list.elements("CommonPrefixes").concat();
        (owned(list.elements("Key")), prefixes)
    };
    assert_eq!(keys("prefix=train%2F").0, KEYS[1..4]);
    assert_eq!(keys("prefix=val/a+%26").0, KEYS[4..]);
    assert_eq!(keys("prefix=none").0, [""; 0]);
    assert_eq!(keys("start-after=train/00.tar").0, KEYS[2..]);
    let (names, prefixes) = keys("delimiter=/");
    assert_eq!(names, KEYS[..1]);
    assert_eq!(prefixes, "<Prefix>train/</Prefix><Prefix>val/</Prefix>");
    let (names, prefixes) = keys("delimiter=%2F&prefix=train/");
    assert_eq!(
        (names.as_slice(), prefixes.as_str()),
        (["train/00.tar", "train/01.tar"].map(str::to_owned).as_slice(), "<Prefix>train/more/</Prefix>")
    );
}

#[test]
fn s3_lists_by_pages() {
    let (_place, server) = Place::serving(&FILES);
    server.set_page(2);
    let mut client = Client::of(&server);
    let paged = pages(&mut client, "/bucket?list-type=2", "NextContinuationToken", "continuation-token");
    assert_eq!((paged.len(), all(&paged, "Key")), (3, KEYS.to_vec()));
    let target = "/bucket?list-type=2&delimiter=/&max-keys=1";
    let paged = pages(&mut client, target, "NextContinuationToken", "continuation-token");
    assert_eq!((paged.len(), all(&paged, "Key")), (3, vec!["train.txt"]));
    assert_eq!(all(&paged, "CommonPrefixes"), ["<Prefix>train/</Prefix>", "<Prefix>val/</Prefix>"]);
    let wrong = client.get("/bucket?list-type=2&continuation-token=train.txt");
    assert_eq!((wrong.status, wrong.elements("Code")), (400, vec!["InvalidArgument"]));
    server.set_page(1000);
    assert_eq!(client.get("/bucket?list-type=2").elements("Key").len(), 5);
}

#[test]
fn a_missing_bucket_has_no_list() {
    let (_place, server) = Place::serving(&FILES);
    let mut client = Client::of(&server);
    let missing = client.get("/none?list-type=2");
    assert_eq!((missing.status, missing.elements("Code")), (404, vec!["NoSuchBucket"]));
    let missing = client.get("/devstoreaccount1/none?restype=container&comp=list");
    assert_eq!((missing.status, missing.elements("Code")), (404, vec!["ContainerNotFound"]));
    assert_eq!(client.get("/bucket/train?list-type=2").status, 404);
}

#[test]
fn azure_lists_a_container_with_bare_etags() {
    let (_place, server) = Place::serving(&FILES);
    server.set_page(2);
    let mut client = Client::of(&server);
    let target = "/devstoreaccount1/bucket?restype=container&comp=list";
    let paged = pages(&mut client, target, "NextMarker", "marker");
    assert_eq!((paged.len(), all(&paged, "Name")), (3, KEYS.to_vec()));
    assert_eq!(all(&paged, "Content-Length"), ["4", "3", "2", "0", "1"]);
    let head = client.ask("HEAD", "/devstoreaccount1/bucket/train.txt", &[]);
    assert_eq!(format!("\"{}\"", all(&paged, "Etag")[0]), head.header("etag").unwrap());
    assert!(all(&paged, "Last-Modified").iter().all(|time| time.ends_with(" GMT") && time.len() == 29));

    let prefixed = client.get("/bucket?restype=container&comp=list&prefix=train/&delimiter=/&maxresults=9");
    assert_eq!(prefixed.elements("BlobPrefix"), [""; 0], "two names make a page");
    server.set_page(1000);
    let prefixed = client.get("/bucket?restype=container&comp=list&prefix=train/&delimiter=/&maxresults=9");
    assert_eq!(prefixed.elements("Blob").len(), 2);
    assert_eq!(prefixed.elements("BlobPrefix"), ["<Name>train/more/</Name>"]);
    let from = client.get("/bucket?restype=container&comp=list&startFrom=train/01.tar");
    assert_eq!(from.elements("Name"), KEYS[2..]);
}
