//! The file of `--trace`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::support::{Place, json, lines, succeed};

const STEPS: usize = 20;
const BATCH: usize = 16;

/// A span: its thread, its name, its batch, its begin and its end in microseconds.
#[derive(Debug, Clone)]
struct Span {
    thread: u64,
    name: String,
    batch: Option<u64>,
    begin: f64,
    end: f64,
}

fn spans(events: &[Value]) -> Vec<Span> {
    let of = |event: &Value| {
        let begin = event["ts"].as_f64().unwrap();
        Span {
            thread: event["tid"].as_u64().unwrap(),
            name: event["name"].as_str().unwrap().to_owned(),
            batch: event["args"]["batch"].as_u64(),
            begin,
            end: begin + event["dur"].as_f64().unwrap(),
        }
    };
    events.iter().filter(|event| event["ph"] == "X").map(of).collect()
}

/// Panics unless the spans of each thread nest or are disjoint. Times are rounded to nanoseconds.
fn assert_nested(spans: &[Span]) {
    let mut by_thread = BTreeMap::<u64, Vec<&Span>>::new();
    for span in spans {
        by_thread.entry(span.thread).or_default().push(span);
    }
    for of_thread in by_thread.values_mut() {
        of_thread.sort_by(|a, b| a.begin.total_cmp(&b.begin).then(b.end.total_cmp(&a.end)));
        let mut open: Vec<&Span> = Vec::new();
        for span in of_thread {
            while open.last().is_some_and(|outer| outer.end <= span.begin + 0.002) {
                open.pop();
            }
            assert!(open.last().is_none_or(|outer| span.end <= outer.end + 0.002), "{span:?} in {open:?}");
            open.push(span);
        }
    }
}

#[test]
fn a_trace_shows_what_every_thread_did_and_follows_each_batch_to_its_step() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let file = place.path("trace.json");
    let (steps, traced) = (format!("{}", STEPS + 5), STEPS.to_string());
    let more = ["--precision", "f32", "--workers", "2", "--steps", &steps];
    let said =
        succeed(place.train(&pattern, "run", &more).args(["--trace-steps", &traced, "--trace"]).arg(&file));
    assert!(said.stderr.contains("open it in ui.perfetto.dev"), "{}", said.stderr);
    let trace = json(&file);
    let events = trace["traceEvents"].as_array().unwrap();
    let spans = spans(events);
    assert_nested(&spans);

    let threads: BTreeSet<_> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .map(|event| event["args"]["name"].as_str().unwrap())
        .collect();
    for thread in ["training", "reader", "decode-0", "decode-1", "batch", "feed"] {
        assert!(threads.contains(thread), "no {thread} among {threads:?}");
    }
    let of = |name: &str| spans.iter().filter(move |span| span.name == name).cloned().collect::<Vec<_>>();
    let made = of("step");
    assert_eq!(made.len(), STEPS);
    for name in ["forward", "objective", "backward", "optimizer"] {
        assert_eq!(of(name).len(), STEPS, "{name}");
    }
    for step in &made {
        let of_batch =
            |name| of(name).into_iter().filter(|span| span.batch == step.batch).collect::<Vec<_>>();
        for name in ["read", "decode", "augment"] {
            assert_eq!(of_batch(name).len(), BATCH, "{name} of {step:?}");
        }
        assert!(of_batch("decode").iter().all(|span| span.end <= step.begin), "decoded before its step");
        assert_eq!(of_batch("copy").len(), 1);
        let flow: Vec<_> = events.iter().filter(|event| event["id"].as_u64() == step.batch).collect();
        let kinds: Vec<_> = flow.iter().map(|event| event["ph"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["s", "t", "t", "f"], "from decoding over batch and copy to the step");
        assert!(flow.iter().map(|event| event["ts"].as_f64().unwrap()).is_sorted());
        assert!((flow[3]["ts"].as_f64().unwrap() - step.begin).abs() < 0.002);
    }
    assert!(events.iter().any(|event| event["ph"] == "C" && event["name"] == "batches in host memory"));

    let records = lines(&place.path("run/metrics.jsonl"));
    let milliseconds = |record: &Value| record["step_ms"].as_f64().unwrap();
    let seconds = records.iter().take(STEPS).map(milliseconds).sum::<f64>() / 1e3;
    let waited: f64 =
        of("wait for a batch").iter().take(STEPS).map(|span| (span.end - span.begin) / 1e6).sum();
    let recorded =
        records.iter().take(STEPS).map(|record| record["data_wait"].as_f64().unwrap() * milliseconds(record));
    let share = recorded.sum::<f64>() / 1e3 / seconds;
    assert!(
        (waited / seconds - share).abs() < 0.02,
        "{} in the trace, {share} in the record",
        waited / seconds
    );
}

#[test]
fn a_shorter_run_leaves_a_trace_of_its_steps_and_a_run_without_the_flag_none() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let file = place.path("trace.json");
    let length = ["--precision", "f32", "--steps", "3"];
    succeed(place.train(&pattern, "run", &length).arg("--trace").arg(&file));
    let trace = json(&file);
    let made = spans(trace["traceEvents"].as_array().unwrap());
    assert_eq!(made.iter().filter(|span| span.name == "step").count(), 3);
    fs::remove_file(&file).unwrap();
    succeed(&mut place.train(&pattern, "other", &length));
    assert!(!file.exists());
    let refused = crate::support::run(
        place.train(&pattern, "third", &length).arg("--trace").arg(place.path("none/t.json")),
    );
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("in an existing folder with --trace"), "{}", refused.stderr);
    assert!(!place.path("third").exists());
}
