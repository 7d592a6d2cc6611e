//! Mistakes and troubles at the start: told at once, with the cause and a cure.

use std::time::{Duration, Instant};

use shards::{Error, Hint, PatternError, RemoteConfig, RemoteHint, StoreKind};
use store_server::Fault;

use super::place::{Place, open};

fn error(place: &Place, pattern: &str) -> Error {
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let error = open(place.config(&cache), pattern).map(|set| set.len()).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    error
}

fn hint(error: &Error) -> RemoteHint {
    match error.hint() {
        Some(Hint::Remote(hint)) => hint,
        other => panic!("{error}: {other:?}"),
    }
}

#[test]
fn troubles_at_the_start_are_told_apart() {
    let place = Place::new(&[4], 100);
    let credentials = RemoteHint::Credentials { from: None, store: StoreKind::S3 };
    for (fault, expected) in [
        (Fault::s3_error(403, "InvalidAccessKeyId"), credentials.clone()),
        (Fault::s3_error(403, "AccessDenied"), credentials),
        (Fault::s3_error(403, "RequestTimeTooSkewed"), RemoteHint::Clock),
        (Fault::other_region("eu-central-1"), RemoteHint::Region(Some("eu-central-1".to_owned()))),
        (Fault::status(503), RemoteHint::Patience),
    ] {
        let script = fault.clone();
        place.server.set_script(move |_| vec![script.clone()]);
        let error = error(&place, &place.pattern("s3", 1));
        assert_eq!(hint(&error), expected, "{fault:?}: {error}");
        assert!(error.to_string().contains("`s3://bucket/x-000.tar"), "{error}");
    }
}

#[test]
fn a_web_page_in_place_of_a_shard_is_named() {
    let place = Place::new(&[4], 100);
    place.server.set_script(|_| vec![Fault::html_page()]);
    let error = error(&place, &place.pattern("http", 1));
    assert_eq!(hint(&error), RemoteHint::WebPage, "{error}");
}

#[test]
fn a_missing_host_a_closed_port_and_missing_objects_are_named() {
    let place = Place::new(&[4, 4], 100);
    let missing = error(&place, &place.pattern("s3", 4));
    let Error::Pattern(PatternError::Absent { missing, count: 4 }) = &missing else { panic!("{missing:?}") };
    assert_eq!(missing.0, ["s3://bucket/x-002.tar", "s3://bucket/x-003.tar"]);
    let pattern = place.pattern("http", 1);
    place.server.stop();
    assert_eq!(hint(&error(&place, &pattern)), RemoteHint::Closed);
    assert_eq!(hint(&error(&place, "http://no-such-host.invalid/x.tar")), RemoteHint::Host);
}

#[test]
fn a_public_bucket_needs_no_credentials_and_others_say_so() {
    let place = Place::new(&[4], 100);
    let cache = tempfile::tempdir().unwrap();
    open(place.config(&cache), &place.pattern("s3", 1)).unwrap();
    assert!(place.server.requests().iter().all(|logged| !logged.asked.authorized));
    place.server.require_authorization(true);
    let error = error(&place, &place.pattern("s3", 1));
    assert_eq!(hint(&error), RemoteHint::Credentials { from: None, store: StoreKind::S3 });
}

#[test]
fn an_invalid_option_is_named() {
    let place = Place::new(&[4], 100);
    let cache = tempfile::tempdir().unwrap();
    let mut config = place.config(&cache);
    config.stores.get_mut("s3://bucket").unwrap().insert("allow_http".to_owned(), "perhaps".to_owned());
    let error = open(RemoteConfig { ..config }, &place.pattern("s3", 1)).unwrap_err();
    assert!(error.to_string().contains("perhaps"), "{error}");
}
