//! Stores in memory and behind sockets of the loopback interface.

use std::{net::TcpListener, thread, time::Duration};

use super::ranks::LIMIT;
use crate::{Group, NetworkFault, ReduceOp, Store};

const SHORT: Duration = Duration::from_millis(300);

fn serve() -> Store {
    Store::connect("127.0.0.1", 0, true, LIMIT).unwrap()
}

fn connect(port: u16) -> Store {
    Store::connect("127.0.0.1", port, false, LIMIT).unwrap()
}

/// Returns a store, and another rank's end of it.
fn pairs() -> [(Store, Store); 3] {
    let memory = Store::in_memory();
    let server = serve();
    let client = connect(server.port().unwrap());
    [(memory.clone(), memory), (client.under("part"), server.under("part")), (server, client)]
}

#[test]
fn what_one_rank_sets_another_one_sees() {
    for (one, other) in pairs() {
        assert!(!other.has("key").unwrap());
        one.set("key", b"a\0b").unwrap();
        assert!(other.has("key").unwrap());
        assert_eq!(other.get("key", LIMIT).unwrap(), b"a\0b");
        one.set("key", b"").unwrap();
        assert_eq!(other.get("key", LIMIT).unwrap(), b"");
        assert_eq!(one.add("sum", 3).unwrap(), 3);
        assert_eq!(other.add("sum", -5).unwrap(), -2);
        assert!(one.set("a\0b", b"").is_err());
    }
}

#[test]
fn prefixes_divide_a_store() {
    for (one, other) in pairs() {
        one.under("a").set("key", b"1").unwrap();
        assert!(other.under("a").has("key").unwrap());
        assert!(!other.under("b").has("key").unwrap() && !other.has("key").unwrap());
        assert!(other.under("a").under("b").port() == one.port());
    }
}

#[test]
fn a_value_is_waited_for_while_other_threads_use_the_store() {
    for (one, other) in pairs() {
        let waiting = {
            let store = one.clone();
            thread::spawn(move || store.get("late", LIMIT))
        };
        for i in 1..=5 {
            assert_eq!(one.add("meanwhile", 1).unwrap(), i);
        }
        other.set("late", b"come").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), b"come");
    }
}

#[test]
fn a_value_that_nobody_sets_is_an_error_at_the_timeout() {
    for (one, _other) in pairs() {
        let failed = one.get("never", SHORT).unwrap_err();
        assert_eq!(failed.network, Some(NetworkFault::TimedOut), "{failed}");
        assert_eq!(failed.message, "no value of the store's key never came within 300ms");
        one.set("still", b"works").unwrap();
    }
}

#[test]
fn a_port_in_use_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let failed = Store::connect("127.0.0.1", port, true, LIMIT).unwrap_err();
    assert_eq!(failed.network, Some(NetworkFault::PortInUse));
    assert_eq!(failed.message, format!("port {port} is in use by another program"));
}

#[test]
fn an_address_where_nobody_listens_is_an_error_at_the_timeout() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(); // free again
    let failed = Store::connect("127.0.0.1", port, false, SHORT).unwrap_err();
    assert_eq!(failed.network, Some(NetworkFault::Unreachable), "{failed}");
    assert!(
        failed.message.starts_with(&format!("cannot connect to 127.0.0.1:{port} within 300ms: ")),
        "{failed}"
    );
}

#[test]
fn a_client_waits_for_the_server() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = thread::spawn(move || connect(port).add("sum", 1));
    thread::sleep(SHORT);
    // Another program may have taken the port meanwhile.
    if let Ok(_server) = Store::connect("127.0.0.1", port, true, LIMIT) {
        assert_eq!(client.join().unwrap().unwrap(), 1);
    }
}

#[test]
fn a_server_that_ended_is_an_error() {
    let server = serve();
    let client = connect(server.port().unwrap());
    client.set("key", b"").unwrap();
    drop(server);
    let failed = client.has("key").unwrap_err();
    assert_eq!(failed.network, Some(NetworkFault::PeerLost), "{failed}");
    assert!(!failed.message.contains('\n'), "{failed}");
}

#[test]
fn ranks_that_met_by_sockets_form_a_group() {
    let server = serve();
    let rank = |store: &Store, rank| {
        let group = Group::gloo(&store.under("group"), rank, 2, LIMIT).unwrap();
        let sum = super::ranks::values(rank, &[3]);
        group.all_reduce(&[&sum], ReduceOp::Sum).unwrap();
        sum
    };
    let client = connect(server.port().unwrap());
    let other = thread::spawn(move || rank(&client, 1));
    let own = rank(&server, 0);
    assert!(own.equal(&other.join().unwrap()));
}
