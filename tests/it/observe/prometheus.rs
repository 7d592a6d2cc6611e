//! A real Prometheus scrapes a real run.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::http::{address, ask};
use crate::support::{Place, lines};

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

    /// Returns the value of a query; none if there is none yet.
    fn query(&self, query: &str) -> Option<f64> {
        let encoded = query.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
        let path = format!("/api/v1/query?query={encoded}");
        let answer = ask(&self.address, "GET", &path, &[("connection", "close")]);
        // The body may come in chunks.
        let json = &answer.body[answer.body.find('{')?..=answer.body.rfind('}')?];
        let result: Value = serde_json::from_str(json).ok()?;
        result["data"]["result"][0]["value"][1].as_str()?.parse().ok()
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

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
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
    let rate = prometheus.query("rate(amdim_stream_images_total[10s])").unwrap();
    let median =
        prometheus.query("histogram_quantile(0.5, rate(amdim_stream_step_seconds_bucket[10s]))").unwrap();
    let steps = prometheus.query("amdim_stream_step").unwrap();
    run.kill().unwrap();
    run.wait().unwrap();

    let records = lines(&place.path("run/metrics.jsonl"));
    let records: Vec<_> = records.iter().filter(|record| record["kind"] == "train").collect();
    let last = |field: &str| {
        let mut values: Vec<f64> = records
            .iter()
            .rev()
            .take(records.len() / 2)
            .filter_map(|record| record[field].as_f64())
            .collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    assert!(steps > 10.0 && steps <= records.last().unwrap()["step"].as_f64().unwrap() + 1.0);
    // Records leave out validations and checkpoints, which the rate includes; this run has few of them.
    let recorded = last("images_per_second");
    assert!((0.5..1.5).contains(&(rate / recorded)), "{rate} images/s by scrapes, {recorded} by records");
    let step = last("step_ms") / 1e3;
    assert!(
        (step / 4.0..step * 4.0).contains(&median),
        "a step takes {median} s by scrapes, {step} by records"
    );
}
