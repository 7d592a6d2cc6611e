//! Names of objects: escapes, queries, lists.

use std::fs;

use shards::{Access, Error, PatternError};

use super::place::{Place, good, mixed, open, read};

#[test]
fn a_query_is_sent_and_never_shown() {
    let place = Place::new(&[40], 1000);
    let order = mixed(1);
    let expected = place.local(&order);
    let cache = tempfile::tempdir().unwrap();
    let url = format!("{}?X-Amz-Signature=s3cr3t&x=a%2Fb", place.server.url("bucket/x-000.tar"));
    let set = open(place.config(&cache), &url).unwrap();
    assert!(good(read(&set, &order)) == expected);
    assert!(!set.shards()[0].as_str().contains('?') && !format!("{:?}", set.shards()).contains("s3cr3t"));
    let requests = place.server.requests();
    assert!(
        requests.iter().all(|logged| logged.asked.query == "X-Amz-Signature=s3cr3t&x=a%2Fb"),
        "{requests:?}"
    );
    assert!(requests.iter().all(|logged| logged.asked.method == "GET"), "a signature permits one method");
    let missing = open(place.config(&cache), &url.replace("x-000", "x-009")).unwrap_err();
    assert!(!format!("{missing} {missing:?}").contains("s3cr3t"), "{missing:?}");
}

#[test]
fn escapes_of_addresses_are_kept_and_keys_are_taken_literally() {
    let place = Place::new(&[40], 1000);
    let expected = place.local(&mixed(1));
    fs::rename(place.shard(0), place.folder.path().join("bucket/a b+ü.tar")).unwrap();
    for pattern in [place.server.url("bucket/a%20b+%C3%BC.tar"), "s3://bucket/a b+ü.tar".to_owned()] {
        let cache = tempfile::tempdir().unwrap();
        let set = open(place.config(&cache), &pattern).unwrap();
        assert!(good(read(&set, &mixed(1))) == expected, "{pattern}");
    }
}

#[test]
fn lists_may_be_on_a_server_or_name_addresses() {
    let place = Place::new(&[10, 20], 1000);
    let expected = place.local(&mixed(1));
    fs::write(place.folder.path().join("bucket/list.txt"), "# all\n\nx-000.tar\nx-001.tar\n").unwrap();
    let local = place.folder.path().join("urls.txt");
    fs::write(&local, place.pattern("http", 2)).unwrap();
    let lists = [
        "@s3://bucket/list.txt".to_owned(),
        format!("@{}", place.server.url("bucket/list.txt")),
        format!("@{}", local.display()),
    ];
    for list in lists {
        let cache = tempfile::tempdir().unwrap();
        let set = open(place.config(&cache), &list).unwrap();
        assert!(good(read(&set, &mixed(1))) == expected, "{list}");
    }
}

#[test]
fn what_cannot_be_named_is_refused() {
    let place = Place::new(&[10], 1000);
    let cache = tempfile::tempdir().unwrap();
    let access = Access::new(place.config(&cache));
    let error = |patterns: &[String]| match access.open(patterns).unwrap_err() {
        Error::Pattern(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(error(&[place.server.url("bucket/*.tar")]), PatternError::WebGlob { .. }));
    assert!(matches!(error(&["s3://bucket/y-*.tar".to_owned()]), PatternError::NoObject { .. }));
    assert!(matches!(error(&["s3://bucket".to_owned()]), PatternError::Url { .. }));
    let (one, local) = ("s3://bucket/x-000.tar".to_owned(), place.shard(0).display().to_string());
    assert!(matches!(error(&[one.clone(), one.clone()]), PatternError::Twice { .. }));
    assert!(matches!(error(&[one, local]), PatternError::Mixed { .. }));
}
