//! What a person sees of a run.

use anyhow::Result;

use super::{Record, Sink};
use crate::terminal;

/// Shows records on stderr, and on a terminal every step.
#[derive(Debug)]
pub struct Progress {
    shown: terminal::Progress,
    /// The parts of the last training record.
    parts: Vec<String>,
    steps: u64,
}

impl Progress {
    /// Of a run of `steps`, standing at `step`.
    pub fn new(step: u64, steps: u64) -> Self {
        Self { shown: terminal::Progress::new("step", step, steps), parts: Vec::new(), steps }
    }
}

impl Sink for Progress {
    fn step(&mut self, step: u64) {
        if terminal::has_line() {
            self.shown.reach(step, || self.parts.clone(), false);
        }
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        if record.kind == "train" {
            let is_first = self.parts.is_empty();
            self.parts = parts(record);
            self.shown.reach(record.step, || self.parts.clone(), is_first || record.step >= self.steps);
        } else {
            tracing::info!("step {}  {}  {}", record.step, record.kind, parts(record).join("  "));
        }
        Ok(())
    }
}

/// The numbers that a person watches, the most important one first. They keep their width from record to record.
fn parts(record: &Record) -> Vec<String> {
    let shown = |name: &str, text: &dyn Fn(f64) -> String| {
        record.get(name).filter(|value| value.is_finite()).map(text)
    };
    let percent = |label: &'static str| move |share: f64| format!("{label} {:.1} %", 100.0 * share);
    let parts = [
        shown("bad_samples", &|bad| format!("bad {bad:.0}"))
            .filter(|_| record.get("bad_samples") > Some(0.0)),
        shown("loss", &|loss| format!("loss {loss:.3}")),
        shown("chance", &|chance| format!("chance {chance:.3}")),
        shown("images_per_second", &|rate| format!("{rate:>5.0} images/s")),
        shown("epoch", &|epoch| format!("epoch {epoch:.2}")),
        shown("linear", &percent("linear")),
        shown("mlp", &percent("mlp")),
        shown("knn", &percent("knn")),
        shown("rankme", &|rank| format!("effective rank {rank:.1}")),
        bottleneck(record),
    ];
    parts.into_iter().flatten().collect()
}

/// What holds the run up, by how much, and what would help.
fn bottleneck(record: &Record) -> Option<String> {
    let (bound, share) = (record.text("bound")?, 100.0 * record.get("bound_share")?);
    let what = match bound {
        "data" => format!("data-bound: waited {share:.0} %"),
        "copy" => format!("copy-bound: copying {share:.0} %"),
        _ => format!("compute-bound {share:.0} %"),
    };
    let cure = record.text("cure").map_or(String::new(), |cure| format!(", try {cure}"));
    Some(what + &cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shows_what_is_there_and_finite() {
        let values = vec![
            ("epoch", 1.5),
            ("loss", 2.0),
            ("chance", 3.0),
            ("linear", f64::NAN),
            ("mlp", 0.5),
            ("bad_samples", 0.0),
        ];
        let mut record = Record { kind: "train", step: 1, values, texts: Vec::new() };
        assert_eq!(parts(&record), ["loss 2.000", "chance 3.000", "epoch 1.50", "mlp 50.0 %"]);
        record.values = vec![("bound_share", 0.34), ("bad_samples", 2.0)];
        record.texts = vec![("bound", "data".to_owned()), ("cure", "--workers 8".to_owned())];
        assert_eq!(parts(&record), ["bad 2", "data-bound: waited 34 %, try --workers 8"]);
    }
}
