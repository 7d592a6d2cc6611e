//! Servers that go, and those that come back.

use std::{
    io::ErrorKind,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use store_server::{Fault, Server};

use crate::{
    client::Client,
    place::{Place, bytes},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Waits until the server has got so many requests.
fn wait_for(server: &Server, requests: usize) {
    while server.requests().len() < requests {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_outage_refuses_connections_and_ends_on_the_same_port() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"content")]);
    let address = server.address();
    for _ in 0..5 {
        let mut client = Client::of(&server);
        assert_eq!(client.get("/bucket/a.tar").text(), "content");
        server.stop();
        assert!(client.try_ask("GET", "/bucket/a.tar", &[]).is_err());
        let refused = Client::connect(address).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        server.stop();
        server.start_again().unwrap();
        server.start_again().unwrap();
        assert_eq!(server.address(), address);
    }
    assert_eq!(Client::of(&server).get("/bucket/a.tar").text(), "content");
    assert_eq!(server.requests().len(), 6, "the record goes on over outages");
}

#[test]
fn an_outage_cuts_answers_under_way() {
    let content = bytes(1000);
    let (_place, server) = Place::serving(&[("bucket/a.tar", &content)]);
    server.set_script(|asked| match asked.path.as_str() {
        "bucket/a.tar" => vec![Fault::Stall { after: 100, how_long: HOUR }],
        _ => vec![Fault::Delay(HOUR)],
    });
    thread::scope(|scope| {
        let body = scope.spawn(|| Client::of(&server).get("/bucket/a.tar"));
        let head =
            scope.spawn(|| Client::of(&server).try_ask("GET", "/bucket/b.tar", &[]).map(|it| it.status));
        wait_for(&server, 2);
        while server.requests().iter().all(|logged| logged.sent < 100) {
            thread::sleep(Duration::from_millis(1));
        }
        server.stop();
        let answer = body.join().unwrap();
        assert_eq!((&answer.body[..], answer.broken.is_some()), (&content[..100], true));
        assert!(head.join().unwrap().is_err());
    });
}

/// The script belongs to what all threads share, so it is gone only once they are.
#[test]
fn dropping_a_server_ends_its_threads() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", &bytes(20_000_000))]);
    let alive = Arc::new(());
    let seen = Arc::clone(&alive);
    server.set_script(move |asked| {
        let _ = &seen;
        if asked.number < 20 { vec![Fault::Delay(HOUR)] } else { vec![] }
    });
    thread::scope(|scope| {
        // Some wait for their answer, some read only a part of it, some ask nothing.
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| assert!(Client::of(&server).try_ask("GET", "/bucket/a.tar", &[]).is_err()))
            })
            .collect();
        wait_for(&server, 20);
        let mut reading: Vec<_> = (0..10).map(|_| Client::of(&server)).collect();
        for client in &mut reading {
            client.send("GET /bucket/a.tar HTTP/1.1\r\n\r\n");
        }
        let _silent: Vec<_> = (0..10).map(|_| Client::of(&server)).collect();
        wait_for(&server, 30);
        server.stop();
        for thread in waiting {
            thread.join().unwrap();
        }
    });
    drop(server);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn dropping_a_server_closes_its_port() {
    let (_place, server) = Place::serving(&[]);
    let address = server.address();
    let mut idle = Client::of(&server);
    assert_eq!(idle.get("/none").status, 404);
    drop(server);
    assert!(idle.is_closed());
    assert_eq!(Client::connect(address).err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
}

#[test]
fn a_server_is_used_by_several_threads() {
    let (_place, server) = Place::serving(&[("bucket/a.tar", b"content")]);
    let (done, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let server = &server;
        scope.spawn(move || {
            while end.try_recv() == Err(mpsc::TryRecvError::Empty) {
                server.set_rate(Some(1_000_000));
                server.set_script(|_| vec![]);
                server.forget_requests();
            }
        });
        let mut client = Client::of(server);
        for _ in 0..200 {
            assert_eq!(client.get("/bucket/a.tar").text(), "content");
        }
        drop(done);
    });
}
