//! Runs an evaluation of a checkpoint and prints its results.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    judging::{Judging, Line, Lines},
    opened,
    options::{Evaluation, Options},
    subject::Subject,
    tally::Report,
};
use crate::{device, stdout, world::World};

/// Evaluates a checkpoint's encoder. Prints one JSON object for each result, or a table, and writes all
/// results to `eval-NAME.json` in the checkpoint's folder. Several processes divide the samples whose features are computed;
/// the lead does the rest.
///
/// # Errors
///
/// If the checkpoint or the shards cannot be read, or a result cannot be written.
pub fn run(options: &Options, evaluation: &Evaluation, world: World) -> Result<()> {
    let loaded = opened::checkpoint(&options.checkpoint, world)?;
    let subject = Subject::open(&loaded, options, world)?;
    let encoders: &[&str] = if options.baseline { &["initial", "trained"] } else { &["trained"] };
    let mut results = Vec::new();
    for &encoder in encoders {
        results.extend(judge(&subject, encoder, evaluation)?);
    }
    let path = loaded.path.join(format!("eval-{}.json", evaluation.name()));
    let conclude = || {
        show(&results)?;
        subject.write(&path, evaluation, &results)
    };
    world.on_lead(conclude).map(drop)
}

/// Evaluates one encoder, prints its results and returns them, on the lead; returns none on other processes.
fn judge(subject: &Subject, encoder: &str, evaluation: &Evaluation) -> Result<Vec<Value>> {
    let cures = || if subject.device.is_cuda() { vec!["add --device cpu".to_owned()] } else { Vec::new() };
    let what = || "this evaluation".to_owned();
    let (judging, found) = device::within_memory(subject.device, what, cures, || {
        let judging = Judging::new(subject, encoder)?;
        let lines = judging.lines(evaluation)?;
        Ok((judging, lines))
    })?;
    let Some(Lines { lines, health }) = found else { return Ok(Vec::new()) };
    let name = evaluation.name();
    let mut results = Vec::new();
    for Line { variant, report, train_top1, details } in lines {
        let mut result = json!({
            "probe": name, "variant": variant, "encoder": encoder, "step": judging.step,
            "report": {"top1": report.top1, "top5": report.top5, "samples": report.samples, "classes": report.classes,
                "train_top1": train_top1},
            "details": details, "settled_on": judging.settled_on, "health": health,
        });
        stdout::print(&result)?;
        add_classes(&mut result["report"], &report, &subject.class_names);
        results.push(result);
    }
    if let Some(complaint) = health.and_then(|health| health.complaint()) {
        tracing::warn!("{encoder} encoder: {complaint}");
    }
    Ok(results)
}

/// Adds the results of each class to a report. They are written to the file only.
fn add_classes(result: &mut Value, report: &Report, names: &[String]) {
    result["per_class"] = json!(report.per_class);
    result["confusion"] = json!(report.confusion);
    if !names.is_empty() {
        result["class_names"] = json!(names);
    }
}

/// Prints the results as a table.
fn show(results: &[Value]) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let percent = |value: &Value| format!("{:.1} %", 100.0 * value.as_f64().unwrap_or(f64::NAN));
    let row = |cells: [String; 7]| {
        let [probe, variant, encoder, step, top1, top5, samples] = cells;
        let row =
            format!("{probe:<10} {variant:<22} {encoder:<8} {step:>8} {top1:>8} {top5:>8} {samples:>8}");
        stdout::say(row.trim_end())
    };
    row(["", "", "encoder", "step", "top-1", "top-5", "samples"].map(str::to_owned))?;
    results.iter().try_for_each(|result| {
        let report = &result["report"];
        row([
            text(&result["probe"]),
            text(&result["variant"]),
            text(&result["encoder"]),
            result["step"].to_string(),
            percent(&report["top1"]),
            percent(&report["top5"]),
            report["samples"].to_string(),
        ])
    })
}
