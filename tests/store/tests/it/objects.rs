//! Objects: wholes and parts, conditions, errors, connections.

use std::{fs, sync::Barrier, thread};

use crate::{
    client::Client,
    place::{Place, bytes},
};

#[test]
fn an_object_comes_with_what_clients_need() {
    let (_place, server) = Place::serving(&[("bucket/a b.tar", b"content")]);
    let mut client = Client::of(&server);
    let answer = client.get("/bucket/a%20b.tar");
    assert_eq!((answer.status, answer.text()), (200, "content"));
    let etag = answer.header("etag").unwrap();
    assert!(etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert!(answer.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));

    let head = client.ask("HEAD", "/bucket/a%20b.tar", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("7")));
    assert_eq!(head.header("etag"), Some(etag));
}

#[test]
fn ranges_are_the_bytes_of_the_file() {
    let content = bytes(700_000);
    let (_place, server) = Place::serving(&[("bucket/a.tar", &content)]);
    let mut client = Client::of(&server);
    let ranges = [("0-0", 0..1), ("5-600000", 5..600_001), ("699999-", 699_999..700_000)];
    let more = [("-10", 699_990..700_000), ("-900000", 0..700_000), ("600000-900000", 600_000..700_000)];
    for (header, range) in ranges.into_iter().chain(more) {
        let answer = client.range("/bucket/a.tar", header);
        assert_eq!(answer.status, 206, "{header}");
        assert!(answer.body == content[range.clone()], "{header}");
        let place = format!("bytes {}-{}/700000", range.start, range.end - 1);
        assert_eq!(answer.header("content-range"), Some(place.as_str()), "{header}");
    }
    let everything = client.range("/bucket/a.tar", "1-2,4-5");
    assert!((everything.status, &everything.body) == (200, &content));

    let outside = client.range("/bucket/a.tar", "700000-");
    assert_eq!((outside.status, outside.elements("Code")), (416, vec!["InvalidRange"]));
    let logged = server.requests();
    assert_eq!(logged[1].asked.range, Some(5..600_001));
    assert_eq!((logged[3].asked.range.clone(), logged[3].sent), (Some(699_990..700_000), 10));
    assert_eq!((logged[7].asked.range.clone(), logged[7].status), (None, Some(416)));
}

#[test]
fn conditions_are_compared_with_the_etag() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"content")]);
    let mut client = Client::of(&server);
    let etag = client.get("/bucket/a.tar").header("etag").unwrap().to_owned();
    let mut status = |header: String| client.ask("GET", "/bucket/a.tar", &[&header]).status;
    assert_eq!(status(format!("If-Match: {etag}")), 200);
    assert_eq!(status(format!("If-Match: {}", etag.trim_matches('"'))), 200);
    assert_eq!(status("If-Match: \"other\"".to_owned()), 412);
    assert_eq!(status(format!("If-None-Match: {etag}")), 304);
    assert_eq!(status("If-None-Match: \"other\"".to_owned()), 200);
    let refused = client.ask("GET", "/bucket/a.tar", &["If-Match: \"other\"", "Range: bytes=0-1"]);
    assert_eq!((refused.status, refused.elements("Code")), (412, vec!["PreconditionFailed"]));
    assert_eq!(server.requests()[3].asked.if_match.as_deref(), Some("\"other\""));
}

#[test]
fn what_is_missing_is_named_as_each_store_names_it() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"content"), ("top.txt", b"top")]);
    let mut client = Client::of(&server);
    let cases = [
        ("/bucket/b.tar", 404, "NoSuchKey"),
        ("/bucket/a.tar/", 404, "NoSuchKey"),
        ("/bucket//a.tar", 404, "NoSuchKey"),
        ("/bucket", 404, "NoSuchKey"),
        ("/other/a.tar", 404, "NoSuchBucket"),
        ("/bucket/../top.txt", 400, "InvalidURI"),
        ("/bucket/%2e%2e/top.txt", 400, "InvalidURI"),
        ("/devstoreaccount1/bucket/b.tar", 404, "BlobNotFound"),
        ("/devstoreaccount1/other/b.tar", 404, "ContainerNotFound"),
    ];
    for (path, status, code) in cases {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.elements("Code")), (status, vec![code]), "{path}");
        assert_eq!(client.ask("HEAD", path, &[]).status, status, "{path}");
    }
    assert_eq!(client.get("/top.txt").text(), "top");
}

#[test]
fn azure_has_headers_of_its_own() {
    let (_place, server) = Place::serving(&[("container/a.tar", b"content")]);
    let mut client = Client::of(&server);
    let path = "/devstoreaccount1/container/a.tar";
    let head = client.ask("HEAD", path, &["x-ms-version: 2021-08-06"]);
    assert_eq!((head.status, head.header("x-ms-version")), (200, Some("2021-08-06")));
    assert_eq!(head.header("x-ms-blob-type"), Some("BlockBlob"));
    assert!(head.header("etag").unwrap().starts_with('"'));
    assert_eq!(client.range(path, "1-2").text(), "on");
    assert_eq!(client.ask("GET", "/container/a.tar", &["x-ms-version: 2021-08-06"]).text(), "content");
    let refused = client.ask("GET", path, &["If-Match: x"]);
    assert_eq!((refused.status, refused.header("x-ms-error-code")), (412, Some("ConditionNotMet")));

    server.set_account("mine");
    assert_eq!(client.get("/mine/container/a.tar").text(), "content");
    assert_eq!(client.get(path).status, 404);
}

#[test]
fn methods_that_write_or_list_folders_are_refused() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"content")]);
    let mut client = Client::of(&server);
    for method in ["PROPFIND", "DELETE", "POST"] {
        let answer = client.ask(method, "/bucket/a.tar", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    client.send("PUT /bucket/a.tar HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.receive(false).unwrap().status, 405);
    assert_eq!(client.get("/bucket/a.tar").text(), "content", "the body of the last request was skipped");
}

#[test]
fn a_replaced_file_has_another_etag_at_once() {
    let (place, server) = Place::serving(&[("bucket/a.tar", b"one")]);
    let mut client = Client::of(&server);
    let mut etag = || client.ask("HEAD", "/bucket/a.tar", &[]).header("etag").unwrap().to_owned();
    let first = etag();
    let modified = fs::metadata(place.path("bucket/a.tar")).unwrap().modified().unwrap();
    place.write("bucket/a.tar", b"two");
    fs::File::options().write(true).open(place.path("bucket/a.tar")).unwrap().set_modified(modified).unwrap();
    let second = etag();
    assert_ne!(first, second);
    place.write("new.tar", b"one");
    fs::rename(place.path("new.tar"), place.path("bucket/a.tar")).unwrap();
    assert_eq!(etag(), first);
}

#[test]
fn authorization_can_be_required() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"content")]);
    server.require_authorization(true);
    let mut client = Client::of(&server);
    let refused = client.get("/bucket/a.tar");
    assert_eq!((refused.status, refused.elements("Code")), (403, vec!["AccessDenied"]));
    let refused = client.get("/devstoreaccount1/bucket/a.tar");
    assert_eq!((refused.status, refused.header("x-ms-error-code")), (403, Some("AuthorizationFailure")));
    assert_eq!(client.get("/bucket?list-type=2").status, 403);
    assert_eq!(client.ask("GET", "/bucket/a.tar", &["Authorization: Bearer x"]).status, 200);
    assert_eq!(client.get("/bucket/a.tar?X-Amz-Signature=00").status, 200);
    let authorized: Vec<_> = server.requests().iter().map(|logged| logged.asked.authorized).collect();
    assert_eq!(authorized, [false, false, false, true, true]);
    server.require_authorization(false);
    assert_eq!(client.get("/bucket/a.tar").status, 200);
}

#[test]
fn a_connection_answers_many_requests_also_sent_ahead() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"0123456789")]);
    let mut client = Client::of(&server);
    let request = |at| format!("GET /bucket/a.tar HTTP/1.1\r\nRange: bytes={at}-{at}\r\n\r\n");
    client.send(&(0..9).map(request).collect::<Vec<_>>().concat());
    for at in 0..9 {
        assert_eq!(client.receive(false).unwrap().text(), at.to_string());
    }
    client.send("GET /bucket/a.tar HT");
    client.send("TP/1.1\r\nRange: bytes=9-\r\nUser-Agent: me\r");
    client.send("\n\r\n");
    assert_eq!(client.receive(false).unwrap().text(), "9");
    let closing = client.ask("GET", "/bucket/a.tar", &["Connection: close"]);
    assert_eq!(closing.header("connection"), Some("close"));
    assert!(client.is_closed());

    let logged = server.requests();
    assert!(
        logged.iter().enumerate().all(|(place, it)| it.asked.number == place && it.asked.connection == 0)
    );
    assert_eq!(logged[9].asked.user_agent.as_deref(), Some("me"));
    server.forget_requests();
    assert_eq!(Client::of(&server).get("/bucket/a.tar?x=1").status, 200);
    let later = server.requests();
    assert_eq!(later.len(), 1);
    assert_eq!((later[0].asked.number, later[0].asked.connection, later[0].sent), (11, 1, 10));
    assert_eq!((later[0].asked.path.as_str(), later[0].asked.query.as_str()), ("bucket/a.tar", "x=1"));
}

#[test]
fn what_is_not_http_is_refused() {
    let (_place, server) = Place::serving(&[]);
    for (request, status) in
        [("nonsense\r\n\r\n", 400), ("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411)]
    {
        let mut client = Client::of(&server);
        client.send(request);
        assert_eq!(client.receive(false).unwrap().status, status);
        assert!(client.is_closed());
    }
}

#[test]
fn a_hundred_connections_are_served_at_a_time() {
    let content = bytes(1_000_000);
    let (_place, server) = Place::serving(&[("bucket/a.tar", &content)]);
    let all_are_open = Barrier::new(100);
    thread::scope(|scope| {
        for number in 0..100 {
            let (server, content, all_are_open) = (&server, &content, &all_are_open);
            scope.spawn(move || {
                let mut client = Client::of(server);
                for turn in 0..5 {
                    let start = number * 7001 + turn * 13;
                    let answer = client.range("/bucket/a.tar", &format!("{start}-{}", start + 99_999));
                    assert!(answer.body == content[start..start + 100_000], "{number}, {turn}");
                    if turn == 0 {
                        all_are_open.wait();
                    }
                }
            });
        }
    });
    let mut connections: Vec<_> = server.requests().iter().map(|logged| logged.asked.connection).collect();
    connections.sort_unstable();
    assert!(connections.chunks(5).enumerate().all(|(number, turns)| turns == [number; 5]));
}
