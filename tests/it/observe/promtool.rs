//! Prometheus' own checks. They are left out where `promtool` is not there.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::prometheus::program;
use amdim_stream::{
    metrics::{Record, TrainRecord, ValidationRecord},
    observe::prometheus::{About, State},
};

/// Runs promtool on a page or a file, where it is there.
fn promtool(arguments: &[&str], input: &str) {
    let Some(program) = program("promtool") else { return };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success() && stderr.is_empty(), "{arguments:?}\n{stdout}{stderr}\n{input}");
}

/// Returns a page with a value of every metric.
fn page() -> String {
    let about = About { method: "amdim", preset: "c10", precision: "bf16", device: "a \"b\" \\", steps: 9 };
    let state = State::new(about, 0);
    state.step(1, 16, None);
    state.step(2, 16, Some(0.25));
    let names = [
        "epoch",
        "loss",
        "chance",
        "lr",
        "images_per_second",
        "step_ms",
        "data_wait",
        "bad_samples",
        "linear",
        "mlp",
        "linear_loss",
        "mlp_loss",
        "read_us",
        "decode_us",
        "augment_us",
        "batch_us",
        "remote_bytes",
        "remote_requests",
        "remote_retries",
        "remote_hits",
        "remote_misses",
        "remote_wait",
        "copy_ms",
        "tensor_memory_peak",
        "gpu_utilization",
        "gpu_memory",
        "processes",
        "data_ms_min",
        "data_ms_median",
        "data_ms_max",
        "slowest_rank",
        "1t5",
    ];
    let mut train: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), 0.5.into())).collect();
    train.insert("step".to_owned(), 2.into());
    train.insert("bound".to_owned(), "data".into());
    let train: TrainRecord = serde_json::from_value(train.into()).unwrap();
    state.record(&Record::Train(Box::new(train)));
    let [epoch, linear, mlp, knn, rankme, cosine] = [Some(0.5); 6];
    state.record(&Record::Validation(ValidationRecord { step: 2, epoch, linear, mlp, knn, rankme, cosine }));
    state.saved(1.5);
    state.queue_depth("decode", 3);
    state.budget("1%".parse().unwrap(), 1, 2_000);
    state.page()
}

#[test]
fn promtool_finds_no_fault_in_the_page_which_has_every_metric() {
    let page = page();
    for metric in amdim_stream::observe::prometheus::METRICS {
        assert!(
            page.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.name())),
            "{}",
            metric.name
        );
    }
    promtool(&["check", "metrics"], &page);
}

#[test]
fn promtool_accepts_the_alerts() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/prometheus-alerts.yml");
    assert!(rules.exists());
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
}
