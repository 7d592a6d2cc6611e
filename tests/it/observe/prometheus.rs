//! A real Prometheus scrapes a real run.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead, BufReader, PipeWriter, Read, Write},
    net::TcpListener,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use amdim_stream::metrics::{self, Record};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::{address, ask};
use crate::support::{Place, lines, succeed, tensors};

/// The images of a step.
const BATCH: f64 = 16.0;

/// Returns a program of Prometheus' package. Returns none, and says so, where it is not there.
#[expect(clippy::print_stderr, reason = "the only word of a test that is left out")]
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".prometheus").join(name);
    if !path.exists() {
        eprintln!("skipped: no {name}; `tools/prometheus.sh` fetches it where it can");
    }
    path.exists().then_some(path)
}

/// A Prometheus that scrapes one address every second. It is ended when this is dropped.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    fn start(program: &Path, place: &Place, scraped: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = place.path("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: amdim-stream\n    static_configs: [{{targets: ['{scraped}']}}]\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", place.path("tsdb").display()));
        command.arg(format!("--web.listen-address={address}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, address }
    }

    /// Returns the first result of a query, at a time in seconds.
    fn result(&self, query: &str, at: f64) -> Option<Value> {
        let encoded = query.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
        let path = format!("/api/v1/query?query={encoded}&time={at:.3}");
        let answer = ask(&self.address, "GET", &path, &[("connection", "close")]);
        // The body may come in chunks.
        let json = &answer.body[answer.body.find('{')?..=answer.body.rfind('}')?];
        let mut result: Value = serde_json::from_str(json).ok()?;
        Some(result.pointer_mut("/data/result/0")?.take())
    }

    /// Returns the value of a query at a time; none if there is none.
    fn value(&self, query: &str, at: f64) -> Option<f64> {
        number(&self.result(query, at)?["value"])
    }

    /// Returns the value of a query now; none if there is none yet.
    fn query(&self, query: &str) -> Option<f64> {
        self.value(query, now())
    }

    fn wait(&self, query: &str, is_wanted: impl Fn(f64) -> bool) -> f64 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match std::net::TcpStream::connect(&self.address).ok().and_then(|_| self.query(query)) {
                Some(value) if is_wanted(value) => return value,
                value => assert!(Instant::now() < deadline, "{query} is {value:?}"),
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Returns the number of a pair of a time and a number in a text.
fn number(pair: &Value) -> Option<f64> {
    pair[1].as_str()?.parse().ok()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Compares the rates of ten seconds up to now with the records of the steps between the first and the last scrape in
/// them. Returns what differs.
fn compare(prometheus: &Prometheus, run: &Path) -> Result<(), String> {
    let at = now();
    let scrapes = prometheus.result("amdim_stream_images_total[10s]", at).unwrap();
    let scrapes = scrapes["values"].as_array().unwrap();
    let step = |pair: &Value| (number(pair).unwrap() / BATCH) as u64;
    let (first, last) = (step(&scrapes[0]), step(&scrapes[scrapes.len() - 1]));
    let records = metrics::read(&run.join("metrics.jsonl")).unwrap();
    let steps = records.iter().filter_map(Record::train);
    let steps = steps.filter(|record| record.step > first && record.step <= last);
    let mut seconds: Vec<f64> = steps.map(|record| record.step_ms.unwrap() / 1e3).collect();
    if seconds.len() as u64 != last - first {
        return Err(format!("{} records of steps {first} to {last}", seconds.len()));
    }
    let expected = BATCH * seconds.len() as f64 / seconds.iter().sum::<f64>();
    let rate = prometheus.value("rate(amdim_stream_images_total[10s])", at).unwrap();
    if (rate / expected - 1.0).abs() > 0.1 {
        return Err(format!("{rate} images/s by scrapes, {expected} by records"));
    }
    seconds.sort_by(f64::total_cmp);
    for share in [0.5, 0.9] {
        let query = format!("histogram_quantile({share}, rate(amdim_stream_step_seconds_bucket[10s]))");
        let found = prometheus.value(&query, at).unwrap();
        let expected = seconds[(share * seconds.len() as f64) as usize];
        // The bucket that ends at 1 ms · 2^k has number k.
        let bucket = |seconds: f64| (1e3 * seconds).log2().ceil();
        if (bucket(found) - bucket(expected)).abs() > 1.0 {
            return Err(format!("{share} of steps take {found} s by scrapes, {expected} by records"));
        }
    }
    Ok(())
}

#[test]
fn a_prometheus_reads_the_numbers_of_the_records() {
    let Some(program) = program("prometheus") else { return };
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let more = ["--precision", "f32", "--steps", "100000", "--listen", "0"];
    let mut run =
        place.train(&pattern, "run", &more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let prometheus = Prometheus::start(&program, &place, &address(&place.path("run"), &mut run));
    prometheus.wait("up", |up| up > 0.0);
    // Ten seconds of rates, and the time until the first one.
    prometheus.wait("count_over_time(amdim_stream_images_total[30s])", |scrapes| scrapes >= 14.0);
    assert_eq!(prometheus.query("min_over_time(up[10s])"), Some(1.0));
    assert_eq!(prometheus.query("resets(amdim_stream_images_total[30s])"), Some(0.0));
    // A machine that stands still between a scrape and its answer distorts the rates of a few seconds.
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(difference) = compare(&prometheus, &place.path("run")) {
        assert!(Instant::now() < deadline, "{difference}");
        thread::sleep(Duration::from_secs(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
}

/// Fills a pipe, so that whoever writes to it next waits until it is read.
fn fill(pipe: &PipeWriter) {
    // What is opened anew has flags of its own: the run still waits.
    let end = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut end = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(end).unwrap();
    for size in [4096, 1] {
        while end.write(&vec![b'\n'; size]).is_ok() {}
    }
}

/// The run waits where it tells of its last record, since nobody reads what it says. So its last numbers are scraped,
/// however fast it is.
#[test]
fn the_last_scrape_of_a_run_has_the_images_of_its_last_record_and_a_stopped_prometheus_changes_nothing() {
    let Some(program) = program("prometheus") else { return };
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let length = ["--precision", "f32", "--steps", "90"];
    succeed(&mut place.train_recording(90, &pattern, "alone", &length));
    let (reader, writer) = io::pipe().unwrap();
    let mut command = place.train_recording(90, &pattern, "run", &length);
    command.args(["--listen", "0"]).stdout(Stdio::null()).stderr(writer.try_clone().unwrap());
    let mut run = command.spawn().unwrap();
    drop(command);
    let mut said = BufReader::new(reader);
    let mut line = String::new();
    while !line.contains("watch the run at") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the run has ended");
    }
    fill(&writer);
    let prometheus = Prometheus::start(&program, &place, &address(&place.path("run"), &mut run));
    let images = prometheus.wait("amdim_stream_images_total", |images| images >= 90.0 * BATCH);
    let records = lines(&place.path("run/metrics.jsonl"));
    assert_eq!((records.len(), &records[0]["step"]), (1, &90.into()));
    let of_epoch = records[0]["epoch"].as_f64().map(|epoch| (epoch * 60.0).round()); // of 60 samples
    assert_eq!((Some(images), of_epoch), (Some(90.0 * BATCH), Some(90.0 * BATCH)));
    assert_eq!(prometheus.query("amdim_stream_step"), Some(90.0));

    kill_process(Pid::from_child(&prometheus.child), Signal::STOP).unwrap();
    drop(writer);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{rest}");
    assert!(tensors(&place.path("run"), 90) == tensors(&place.path("alone"), 90));
}
