//! Every fault, as a client sees it.

use std::{
    io::ErrorKind,
    sync::mpsc,
    time::{Duration, Instant},
};

use store_server::{Fault, Server};

use crate::{
    client::{Answer, Client},
    place::{Place, bytes},
};

const PATH: &str = "/bucket/a.tar";

/// A server with one object of 1,000 bytes.
fn serving() -> (Place, Server, Vec<u8>) {
    let content = bytes(1000);
    let (place, server) = Place::serving(&[("bucket/a.tar", &content)]);
    (place, server, content)
}

/// Answers the next request with faults and later ones rightly.
fn once(server: &Server, faults: &[Fault]) {
    let mut faults = faults.to_vec();
    server.set_script(move |_| std::mem::take(&mut faults));
}

/// Returns the answer with faults to a request for a range on a new connection.
fn faulty(server: &Server, faults: &[Fault], range: &str) -> Answer {
    once(server, faults);
    Client::of(server).range(PATH, range)
}

#[test]
fn a_status_comes_with_its_headers_and_body() {
    let (_place, server, content) = serving();
    let mut client = Client::of(&server);
    let mut next = |fault: Fault| {
        once(&server, &[fault]);
        client.range(PATH, "0-9")
    };
    let busy = next(Fault::status_with(429, "Retry-After", "7"));
    assert_eq!((busy.status, busy.header("retry-after"), busy.text()), (429, Some("7"), ""));
    let refused = next(Fault::s3_error(403, "InvalidAccessKeyId"));
    assert_eq!((refused.status, refused.elements("Code")), (403, vec!["InvalidAccessKeyId"]));
    let elsewhere = next(Fault::other_region("eu-central-1"));
    assert_eq!((elsewhere.status, elsewhere.elements("Code")), (301, vec!["PermanentRedirect"]));
    assert_eq!(elsewhere.header("x-amz-bucket-region"), Some("eu-central-1"));
    let page = next(Fault::html_page());
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert!(page.text().starts_with("<html>") && page.header("etag").is_none());
    assert_eq!(next(Fault::status(503)).status, 503);
    assert_eq!(client.range(PATH, "0-9").body, content[..10], "the connection goes on");
    let statuses: Vec<_> = server.requests().iter().filter_map(|logged| logged.status).collect();
    assert_eq!(statuses, [429, 403, 301, 200, 503, 206]);
}

#[test]
fn a_connection_is_reset_before_an_answer() {
    let (_place, server, content) = serving();
    once(&server, &[Fault::CloseBefore]);
    let failed = Client::of(&server).try_ask("GET", PATH, &[]).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    assert_eq!((server.requests()[0].status, server.requests()[0].sent), (None, 0));
    assert_eq!(Client::of(&server).get(PATH).body, content);
}

#[test]
fn a_body_is_cut_or_reset() {
    let (_place, server, content) = serving();
    let cut = faulty(&server, &[Fault::Cut { after: 30 }], "100-199");
    assert_eq!((cut.status, cut.header("content-length")), (206, Some("100")));
    assert_eq!((&cut.body[..], cut.broken), (&content[100..130], Some(ErrorKind::UnexpectedEof)));
    assert_eq!(server.requests()[0].sent, 30);

    let reset = faulty(&server, &[Fault::Reset { after: 30 }], "100-199");
    assert_eq!((reset.status, reset.broken), (206, Some(ErrorKind::ConnectionReset)));
    assert_eq!(reset.body, content[100..130]);

    let whole = faulty(&server, &[Fault::Cut { after: 1000 }], "100-199");
    assert_eq!((&whole.body[..], whole.broken), (&content[100..200], None));
}

#[test]
fn a_body_is_short_with_and_without_a_length() {
    let (_place, server, content) = serving();
    let told = faulty(&server, &[Fault::Short { by: 40, with_length: true }], "100-199");
    assert_eq!(told.header("content-length"), Some("60"));
    assert_eq!(told.header("content-range"), Some("bytes 100-199/1000"));
    assert_eq!((&told.body[..], told.broken), (&content[100..160], None));

    let untold = faulty(&server, &[Fault::Short { by: 40, with_length: false }], "100-199");
    assert_eq!((untold.header("content-length"), untold.header("connection")), (None, Some("close")));
    assert_eq!((&untold.body[..], untold.broken), (&content[100..160], None));

    once(&server, &[Fault::Short { by: 2000, with_length: true }]);
    assert_eq!(Client::of(&server).get(PATH).body, b"");
    once(&server, &[Fault::Short { by: 40, with_length: true }]);
    let head = Client::of(&server).ask("HEAD", PATH, &[]);
    assert_eq!(head.header("content-length"), Some("1000"));
}

#[test]
fn a_body_stalls_and_goes_on() {
    let (_place, server, content) = serving();
    let pause = Duration::from_millis(300);
    for after in [0, 30, 99] {
        let begun = Instant::now();
        let stalled = faulty(&server, &[Fault::Stall { after, how_long: pause }], "100-199");
        assert_eq!((&stalled.body[..], stalled.broken), (&content[100..200], None));
        assert!(begun.elapsed() >= pause, "{after}");
    }
}

#[test]
fn a_range_is_one_beside_it_or_ignored() {
    let (_place, server, content) = serving();
    for (wanted, got) in [("100-199", 101..201), ("900-", 899..999), ("0-999", 1..1000)] {
        let wrong = faulty(&server, &[Fault::WrongRange], wanted);
        let place = format!("bytes {}-{}/1000", got.start, got.end - 1);
        assert_eq!((wrong.status, wrong.header("content-range")), (206, Some(place.as_str())));
        assert_eq!(wrong.body, content[got]);
    }
    for wanted in ["100-199", "1000-"] {
        let ignored = faulty(&server, &[Fault::IgnoreRange], wanted);
        assert_eq!((ignored.status, ignored.header("content-range")), (200, None));
        assert_eq!(ignored.body, content);
    }
    assert_eq!(server.requests()[3].asked.range, Some(100..200));
}

#[test]
fn etags_and_times_are_changed_or_left_out() {
    let (_place, server, content) = serving();
    let right = Client::of(&server).get(PATH).header("etag").unwrap().to_owned();
    let other = Fault::ETag("W/\"other\"".to_owned());
    assert_eq!(faulty(&server, std::slice::from_ref(&other), "0-9").header("etag"), Some("W/\"other\""));
    assert_eq!(faulty(&server, &[Fault::NoETag], "0-9").header("etag"), None);
    let timeless = faulty(&server, &[Fault::NoLastModified], "0-9");
    assert_eq!((timeless.header("last-modified"), timeless.header("etag")), (None, Some(right.as_str())));

    let condition = format!("If-Match: {right}");
    let mut client = Client::of(&server);
    once(&server, std::slice::from_ref(&other));
    assert_eq!(client.ask("GET", PATH, &[&condition]).status, 412);
    once(&server, &[Fault::IgnoreConditions, other]);
    let replaced = client.ask("GET", PATH, &[&condition]);
    assert_eq!((replaced.status, replaced.header("etag")), (200, Some("W/\"other\"")));
    assert_eq!(replaced.body, content);
}

#[test]
fn bytes_are_inverted() {
    let (_place, server, content) = serving();
    let wrong =
        faulty(&server, &[Fault::Flip { at: 3 }, Fault::Flip { at: 99 }, Fault::Flip { at: 500 }], "100-199");
    let mut expected = content[100..200].to_vec();
    expected[3] = !expected[3];
    expected[99] = !expected[99];
    assert_eq!(wrong.body, expected);
}

#[test]
fn faults_are_combined() {
    let (_place, server, content) = serving();
    let faults =
        [Fault::Flip { at: 12 }, Fault::Short { by: 10, with_length: true }, Fault::Cut { after: 20 }];
    let answer = faulty(&server, &faults, "100-199");
    let mut expected = content[100..120].to_vec();
    expected[12] = !expected[12];
    assert_eq!((&answer.body, answer.header("content-length")), (&expected, Some("90")));
    assert_eq!(answer.broken, Some(ErrorKind::UnexpectedEof));
}

#[test]
fn lists_have_faults_too() {
    let (_place, server, _) = serving();
    once(&server, &[Fault::s3_error(503, "SlowDown")]);
    let mut client = Client::of(&server);
    assert_eq!(client.get("/bucket?list-type=2").elements("Code"), ["SlowDown"]);
    once(&server, &[Fault::Cut { after: 50 }]);
    let cut = client.get("/bucket?list-type=2");
    assert_eq!((cut.body.len(), cut.broken), (50, Some(ErrorKind::UnexpectedEof)));
}

#[test]
fn a_script_sees_each_request_and_can_be_taken_away() {
    let (_place, server, _) = serving();
    let (told, heard) = mpsc::channel();
    server.set_script(move |asked| {
        told.send(asked.clone()).unwrap();
        if asked.number % 2 == 1 { vec![Fault::status(500)] } else { vec![] }
    });
    let mut client = Client::of(&server);
    let statuses: Vec<_> = (0..4).map(|_| client.range(PATH, "-5").status).collect();
    assert_eq!(statuses, [206, 500, 206, 500]);
    server.clear_script();
    assert_eq!(client.get(PATH).status, 200);
    let heard: Vec<_> = heard.iter().collect();
    let logged: Vec<_> = server.requests().into_iter().map(|logged| logged.asked).collect();
    assert_eq!(heard, logged[..4]);
    assert_eq!(
        (heard[0].range.clone(), heard[0].range_header.as_deref()),
        (Some(995..1000), Some("bytes=-5"))
    );
}

#[test]
fn answers_are_as_late_and_as_slow_as_wanted() {
    let (_place, server, content) = serving();
    let mut client = Client::of(&server);
    let mut time = || {
        let begun = Instant::now();
        assert_eq!(client.get(PATH).body, content);
        begun.elapsed()
    };
    server.set_delay(Duration::from_millis(200));
    assert!(time() >= Duration::from_millis(200));
    once(&server, &[Fault::Delay(Duration::from_millis(200))]);
    assert!(time() >= Duration::from_millis(400));
    server.set_delay(Duration::ZERO);
    server.set_rate(Some(4000));
    assert!(time() >= Duration::from_millis(250));
    server.set_rate(None);
    time();
}
