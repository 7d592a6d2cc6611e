//! The server of `--listen`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::http::{address, ask, connect, get, request};
use crate::support::{Place, run, succeed, tensors};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends a run by a signal. Returns what it has said.
fn end(mut child: Child) -> String {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    said
}

/// Returns the number of files and connections that a process has open.
fn open_files(child: &Child) -> usize {
    fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count()
}

/// Returns the bytes of a process's own memory.
fn memory(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    1024 * line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
}

#[test]
fn a_run_is_served_to_readers_of_this_machine_and_tells_them_its_end() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let more = ["--precision", "f32", "--steps", "100000", "--listen", "127.0.0.1:0"];
    let mut child = start(&mut place.train(&pattern, "run", &more));
    let run = place.path("run");
    let address = address(&run, &mut child);
    assert_eq!(get(&address, "/healthz").body, "ok\n");
    let head = ask(&address, "HEAD", "/healthz", &[]);
    assert_eq!((head.status, &*head.body), (200, ""));
    let page = get(&address, "/");
    assert!(page.head.contains("content-type: text/html; charset=utf-8"), "{}", page.head);
    let numbers = get(&address, "/metrics");
    assert!(
        numbers.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        numbers.head
    );

    let mut live = connect(&address);
    live.write_all(request(&address, "GET", "/live", &[("last-event-id", "0")]).as_bytes()).unwrap();
    let mut lines = BufReader::new(live).lines().map(Result::unwrap);
    assert!(
        lines.by_ref().any(|line| line == "event: reset"),
        "a reader that has missed events loads the page again"
    );
    let mut steps = lines.by_ref().filter_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok());
    let first = steps.next().unwrap();
    assert!((1..=5).all(|_| steps.next().unwrap() > first), "steps ascend");
    let said = end(child);
    assert!(lines.any(|line| line == "event: end"), "{said}");
    assert!(said.contains(&format!("watch the run at http://{address}/")), "{said}");
    assert!(!run.join("listen").exists());
}

#[test]
fn requests_that_are_not_for_this_page_are_refused() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let more = ["--precision", "f32", "--steps", "100000", "--listen", "0"];
    let mut child = start(&mut place.train(&pattern, "run", &more));
    let address = address(&place.path("run"), &mut child);
    assert_eq!(ask(&address, "GET", "/", &[("host", "evil.example")]).status, 403);
    assert_eq!(ask(&address, "POST", "/", &[("content-length", "0")]).status, 405);
    for path in [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/checkpoints",
        "/config.toml",
        "*",
        "x",
    ] {
        let answer = get(&address, path);
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{answer:?}");
    }
    let long = "x".repeat(1 << 20);
    assert_ne!(ask(&address, "GET", "/", &[("x-long", &long)]).status, 200);
    assert_ne!(get(&address, &format!("/{long}")).status, 200);
    connect(&address).write_all(&[0, 159, 146, 150, b'\r', b'\n', b'\r', b'\n']).unwrap();
    // Training takes no more memory once it has made some steps.
    let records = || fs::read_to_string(place.path("run/metrics.jsonl")).unwrap_or_default().lines().count();
    while records() < 80 {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        thread::sleep(Duration::from_millis(5));
    }
    let connections = if super::is_long() { 10_000 } else { 1_000 };
    let mut before = None;
    for number in 0..connections {
        assert_eq!(get(&address, "/healthz").status, 200);
        if number == connections / 10 {
            before = Some((open_files(&child), memory(&child)));
        }
    }
    let (files, bytes) = before.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while open_files(&child) > files {
        assert!(Instant::now() < deadline, "{} open files, {files} before", open_files(&child));
        thread::sleep(Duration::from_millis(50));
    }
    let grown = memory(&child).saturating_sub(bytes);
    assert!(grown <= 8_000_000, "{grown} bytes more after {connections} connections");
    let said = end(child);
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn other_machines_need_the_token() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let refused = run(&mut place.train(&pattern, "run", &["--steps", "3", "--listen", "0.0.0.0:0"]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--listen-token FILE"), "{}", refused.stderr);
    let nowhere = place.path("nowhere/token").to_str().unwrap().to_owned();
    for (more, words) in [
        (["--listen", "0", "--listen-token", &nowhere], "name a file in a folder that exists"),
        (["--steps", "3", "--listen-token", &nowhere], "add --listen ADDR, or leave out --listen-token"),
    ] {
        let said = run(&mut place.train(&pattern, "run", &more));
        assert!(said.code == Some(2) && said.stderr.contains(words), "{}", said.stderr);
    }
    assert!(!place.path("run").exists(), "nothing is made before");

    let token = place.path("token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let more = ["--precision", "f32", "--steps", "100000", "--listen", "0.0.0.0:0", "--listen-token"];
    let mut child = start(place.train(&pattern, "run", &more).arg(&token));
    let address = address(&place.path("run"), &mut child);
    let wrong = ask(&address, "GET", "/metrics", &[("authorization", "Bearer 0123")]);
    assert_eq!(wrong.status, 401);
    let bodies = ["", "?token=x", "?token="].map(|query| get(&address, &format!("/{query}")));
    assert!(bodies.iter().all(|answer| answer.status == 401 && answer.body == wrong.body), "{bodies:?}");
    assert_eq!(get(&address, "/healthz").status, 401);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(ask(&address, "GET", "/metrics", &[("authorization", &bearer)]).status, 200);
    let asked = get(&address, &format!("/?token={TOKEN}"));
    let cookie = format!("set-cookie: amdim_stream_token={TOKEN}; path=/; httponly; samesite=strict");
    assert!(asked.status == 303 && asked.head.contains(&cookie), "{asked:?}");
    assert!(asked.head.lines().any(|line| line == "location: /"), "{asked:?}");
    let cookie = format!("amdim_stream_token={TOKEN}");
    assert_eq!(ask(&address, "GET", "/", &[("cookie", &cookie)]).status, 200);
    let page = ask(&address, "GET", "/report.html", &[("cookie", &cookie)]);
    assert!(page.status == 200 && !page.body.contains(TOKEN));
    let said = end(child);
    assert!(!said.contains(TOKEN), "{said}");
    for name in ["config.toml", "metrics.jsonl", "manifest.json"] {
        assert!(!fs::read_to_string(place.path("run").join(name)).unwrap().contains(TOKEN), "{name}");
    }
}

#[test]
fn a_port_that_is_taken_is_no_reason_not_to_train() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = succeed(&mut place.train(
        &pattern,
        "run",
        &["--precision", "f32", "--steps", "3", "--listen", &port],
    ));
    assert!(
        said.stderr.contains("WARN the run is not shown: cannot listen at 127.0.0.1:"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("name a free port with --listen"), "{}", said.stderr);
}

/// Starts a process that reads events of a run, and stops it while its connection is open.
fn start_stopped_reader(address: &str) -> Child {
    let mut stream = connect(address);
    stream.write_all(request(address, "GET", "/live", &[]).as_bytes()).unwrap();
    let mut reader = Command::new("cat");
    reader.stdin(OwnedFd::from(stream)).stdout(Stdio::piped());
    let mut child = reader.spawn().unwrap();
    let mut begin = [0; 15];
    child.stdout.as_mut().unwrap().read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK", "it is let in");
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    child
}

/// Readers that never read, one that is stopped, one that sends a byte at a time, and one that asks without a pause.
#[test]
fn readers_change_nothing_in_a_run_and_cannot_hold_it_up() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let length = ["--precision", "f32", "--steps", "60"];
    succeed(&mut place.train(&pattern, "alone", &length));
    let mut child = start(place.train(&pattern, "watched", &length).args(["--listen", "0"]));
    let address = address(&place.path("watched"), &mut child);
    let silent: Vec<_> = (0..28)
        .map(|_| {
            let mut stream = connect(&address);
            stream.write_all(request(&address, "GET", "/live", &[]).as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &silent {
        let mut begin = [0; 15];
        (&*stream).read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK", "each of them is let in");
    }
    let mut stopped = start_stopped_reader(&address);
    let mut slow = connect(&address);
    let mut asked = 0;
    while child.try_wait().unwrap().is_none() {
        drop(slow.write_all(b"G"));
        // The last requests find that the run has ended.
        let Ok(mut stream) = std::net::TcpStream::connect(&address) else { break };
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut text = Vec::new();
        drop(stream.write_all(request(&address, "GET", "/metrics", &[]).as_bytes()));
        drop(stream.read_to_end(&mut text));
        asked += usize::from(text.starts_with(b"HTTP/1.1 200"));
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(asked > 10, "{asked} requests were answered");
    assert!(tensors(&place.path("watched"), 60) == tensors(&place.path("alone"), 60));
    drop(silent);
    assert!(stopped.try_wait().unwrap().is_none(), "the reader was there to the end");
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}
