//! The program.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{client::Client, place::Place};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_store-server"))
}

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_prints_its_address_serves_and_keeps_a_log() {
    let place = Place::new();
    place.write("bucket/a\"b.tar", b"content");
    let log = place.path("log.jsonl");
    let mut command = program();
    command.arg(place.path("")).args(["--delay-ms", "50", "--rate", "1000"]).arg("--log").arg(&log);
    let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().trim_end_matches('/');

    let mut client = Client::connect(address.parse().unwrap()).unwrap();
    let begun = Instant::now();
    assert_eq!(client.range("/bucket/a%22b.tar", "1-2").text(), "on");
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(client.ask("HEAD", "/bucket/none", &[]).status, 404);
    // The line of a request is written after its answer, and before the next answer of the connection.
    assert_eq!(client.ask("HEAD", "/bucket/none", &["Connection: close"]).status, 404);
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(
        lines[0],
        "{\"number\": 0, \"connection\": 0, \"method\": \"GET\", \"path\": \"bucket/a\\\"b.tar\", \"query\": \"\", \
         \"range\": [1, 3], \"authorized\": false, \"user_agent\": null, \"status\": 206, \"sent\": 2}"
    );
    assert!(lines[1].contains("\"range\": null") && lines[1].contains("\"status\": 404"), "{}", lines[1]);
}

#[test]
fn the_program_refuses_what_it_does_not_understand() {
    let place = Place::new();
    let folder = place.path("").into_os_string().into_string().unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (&[], 2, "the folder is missing"),
        (&[&folder, "more"], 2, "`more` is a second folder"),
        (&[&folder, "--port"], 2, "`--port` lacks its value"),
        (&[&folder, "--port", "70000"], 2, "`--port` is `70000`, which is no number that it can be"),
        (&[&folder, "--speed", "1"], 2, "`--speed` is not known"),
        (&["/nowhere/at/all"], 1, "/nowhere/at/all: "),
    ];
    for (arguments, code, message) in cases {
        let output = program().args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with(message), "{said}");
    }
}
