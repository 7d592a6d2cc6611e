//! Peers that do not come, do not answer, or die.

use std::{
    env,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tch::Kind;

use super::ranks::{LIMIT, values};
use crate::{Failure, Group, NetworkFault, ReduceOp, Reducer, Store, caught};

const SHORT: Duration = Duration::from_millis(500);

/// A bound that only a call which waits for [`LIMIT`] exceeds.
const SOON: Duration = Duration::from_secs(30);

/// The variable by which a test tells the process that it starts what to do: the port and the deed.
const PEER: &str = "TORCHKIT_TEST_PEER";

fn all_reduce(group: &Group) -> Result<(), Failure> {
    group.all_reduce(&[&values(0, &[1000])], ReduceOp::Sum)
}

/// Runs `first` and `second` as two ranks, which see each other's return by nothing but their group.
fn two<T: Send>(
    timeout: Duration,
    first: impl FnOnce(Group) -> T + Send,
    second: impl FnOnce(Group) + Send,
) -> T {
    let store = Store::in_memory();
    let group = |rank| Group::gloo(&store, rank, 2, timeout).unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| second(group(1)));
        let result = first(group(0));
        other.join().unwrap();
        result
    })
}

/// Returns how long `work` took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

/// Checks that a group that failed fails at once, and is dropped without a wait.
fn stays_failed(group: Group) {
    let ((), took) = timed(|| {
        assert!(all_reduce(&group).unwrap_err().network.is_some());
        assert!(group.barrier(LIMIT).unwrap_err().network.is_some());
        drop(group);
    });
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_peer_that_does_not_answer_is_noticed_at_the_timeout() {
    let (waits, until) = std::sync::mpsc::channel::<()>();
    let first = move |group: Group| {
        let (failed, took) = timed(|| all_reduce(&group).unwrap_err());
        assert_eq!(failed.network, Some(NetworkFault::TimedOut), "{failed}");
        assert!(!failed.message.contains(".cc:") && !failed.message.contains('\n'), "{failed}");
        assert!(took >= SHORT && took < SOON, "{took:?}");
        stays_failed(group);
        drop(waits);
    };
    two(SHORT, first, move |group| {
        until.recv().unwrap_err(); // until the other one has finished
        assert_eq!(all_reduce(&group).unwrap_err().network, Some(NetworkFault::PeerLost));
    });
}

#[test]
fn a_barrier_has_a_timeout_of_its_own() {
    let (waits, until) = std::sync::mpsc::channel::<()>();
    let first = move |group: Group| {
        let (failed, took) = timed(|| group.barrier(SHORT).unwrap_err());
        assert_eq!(failed.network, Some(NetworkFault::TimedOut), "{failed}");
        assert!(took < SOON, "{took:?}");
        drop(waits);
    };
    two(LIMIT, first, move |_group| {
        until.recv().unwrap_err();
    });
}

#[test]
fn a_peer_that_left_is_noticed_before_the_timeout() {
    let first = |group: Group| {
        all_reduce(&group).unwrap();
        let (failed, took) = timed(|| all_reduce(&group).unwrap_err());
        assert_eq!(failed.network, Some(NetworkFault::PeerLost), "{failed}");
        assert!(took < SOON, "{took:?}");
        stays_failed(group);
    };
    two(LIMIT, first, |group| all_reduce(&group).unwrap());
}

#[test]
fn a_peer_that_left_is_noticed_on_the_way_back() {
    let loss = |group: &Group| {
        let gathered = group.gather_with_gradient(&values(0, &[3]).set_requires_grad(true));
        gathered.square().sum(Kind::Double)
    };
    let first = |group: Group| {
        let loss = loss(&group);
        let (failed, took) = timed(|| caught(|| loss.backward()).unwrap_err());
        assert_eq!(failed.network, Some(NetworkFault::PeerLost), "{failed}");
        assert!(!failed.message.contains(".cc:") && !failed.message.contains('\n'), "{failed}");
        assert!(took < SOON, "{took:?}");
    };
    two(LIMIT, first, |group| drop(loss(&group)));
}

#[test]
fn a_peer_that_left_is_noticed_by_the_average_of_gradients() {
    let reducer = |group: &Group| {
        let parameter = values(0, &[3]).set_requires_grad(true);
        let reducer = Reducer::new(group, &[&parameter]).unwrap();
        reducer.prepare_forward().unwrap();
        reducer.prepare_backward().unwrap();
        (reducer, parameter)
    };
    let first = |group: Group| {
        let (reducer, parameter) = reducer(&group);
        let backward = || parameter.square().sum(Kind::Double).backward();
        let (failed, took) = timed(|| caught(backward).unwrap_err());
        assert_eq!(failed.network, Some(NetworkFault::PeerLost), "{failed}");
        assert!(!failed.message.contains(".cc:") && !failed.message.contains('\n'), "{failed}");
        let ((), more) = timed(|| drop(reducer));
        assert!(took + more < SOON, "{took:?} and {more:?}");
        stays_failed(group);
    };
    two(LIMIT, first, |group| drop(reducer(&group)));
}

#[test]
fn a_group_that_was_given_up_is_lost_to_its_peers() {
    let first = |group: Group| {
        let (failed, took) = timed(|| all_reduce(&group).unwrap_err());
        assert!(failed.network.is_some(), "{failed}");
        assert!(took < SOON, "{took:?}");
    };
    two(LIMIT, first, |group| {
        group.abort().unwrap();
        assert!(all_reduce(&group).is_err());
    });
}

#[test]
fn a_group_is_dropped_without_a_wait_for_what_it_has_begun() {
    let (waits, until) = std::sync::mpsc::channel::<()>();
    let first = move |group: Group| {
        let begun = group.begin_all_reduce(&values(0, &[3]), ReduceOp::Max).unwrap();
        let failed = begun.wait(SHORT).unwrap_err();
        assert_eq!(failed.network, Some(NetworkFault::TimedOut), "{failed}");
        assert!(!begun.is_done());
        let ((), took) = timed(|| drop(group));
        assert!(took < SOON, "{took:?}");
        drop(waits);
    };
    two(LIMIT, first, move |_group| {
        until.recv().unwrap_err();
    });
}

#[test]
fn ranks_that_do_not_come_are_an_error_at_the_timeout() {
    let failed = Group::gloo(&Store::in_memory(), 0, 2, SHORT).unwrap_err();
    assert_eq!(failed.network, Some(NetworkFault::TimedOut));
    assert_eq!(failed.message, "not all of 2 ranks came within 500ms");
}

/// A process that runs [`peer`].
struct Peer(Child);

impl Peer {
    fn start(port: u16, deed: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "c10d::tests::failures::peer"]).env(PEER, format!("{port} {deed}"));
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Kills or stops the process, and waits until it is dead or stands still.
    fn signal(&self, signal: Signal) {
        let process = Pid::from_child(&self.0);
        kill_process(process, signal).unwrap();
        waitpid(Some(process), WaitOptions::UNTRACED).unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process does that another test starts; nothing otherwise.
#[test]
fn peer() {
    let Ok(deed) = env::var(PEER) else { return };
    let (port, deed) = deed.split_once(' ').unwrap();
    let (port, serves) = (port.parse().unwrap(), deed == "serve");
    let store = Store::connect("127.0.0.1", port, serves, LIMIT).unwrap();
    if serves {
        thread::sleep(4 * LIMIT);
    }
    let group = Group::gloo(&store.under("group"), 1, 2, LIMIT).unwrap();
    all_reduce(&group).unwrap();
    thread::sleep(4 * LIMIT);
}

#[test]
fn a_process_that_is_killed_is_noticed_before_the_timeout() {
    let store = Store::connect("127.0.0.1", 0, true, LIMIT).unwrap();
    let peer = Peer::start(store.port().unwrap(), "join");
    let group = Group::gloo(&store.under("group"), 0, 2, LIMIT).unwrap();
    all_reduce(&group).unwrap();
    peer.signal(Signal::KILL);
    let (failed, took) = timed(|| all_reduce(&group).unwrap_err());
    assert_eq!(failed.network, Some(NetworkFault::PeerLost), "{failed}");
    assert!(took < SOON, "{took:?}");
    stays_failed(group);
}

#[test]
fn a_store_whose_server_stands_still_is_an_error_at_the_timeout() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let peer = Peer::start(port, "serve");
    Store::connect("127.0.0.1", port, false, LIMIT).unwrap();
    let store = Store::connect("127.0.0.1", port, false, SHORT).unwrap();
    store.set("key", b"value").unwrap();
    peer.signal(Signal::STOP);
    let (failures, took) =
        timed(|| [store.add("sum", 1).unwrap_err(), store.get("other", SHORT).unwrap_err()]);
    for failed in failures {
        assert_eq!(failed.network, Some(NetworkFault::TimedOut), "{failed}");
    }
    assert!(took < SOON, "{took:?}");
}
