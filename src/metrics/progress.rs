//! What a person sees: a bar on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Record, Sink};

/// Shows records on stderr.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    steps: u64,
    lines: bool,
    /// When the last line was shown: plain lines come a few seconds apart.
    last_line: Option<Instant>,
}

impl Progress {
    const LINE_INTERVAL: Duration = Duration::from_secs(5);

    /// Of a run of `steps`, standing at `step`. `NO_COLOR` and a stderr that is no terminal mean plain lines.
    pub fn new(step: u64, steps: u64) -> Self {
        let lines = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
        let target = if lines { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(steps), target).with_position(step);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} step {pos}/{len}  {msg}  eta {eta}") {
            bar.set_style(style);
        }
        bar.reset_eta();
        Self { bar, steps, lines, last_line: None }
    }

    /// Says something between two records without disturbing the bar.
    pub fn say(&self, line: &str) {
        if self.lines {
            tracing::info!("{line}");
        } else {
            self.bar.suspend(|| tracing::info!("{line}"));
        }
    }

    fn line(&mut self, record: &Record) {
        let due = self.last_line.is_none_or(|then| then.elapsed() >= Self::LINE_INTERVAL);
        let important = record.kind != "train" || record.step >= self.steps;
        if due || important {
            let eta = indicatif::HumanDuration(self.bar.eta());
            tracing::info!("step {}/{}  {}  eta {eta:#}", record.step, self.steps, summary(record));
            self.last_line = Some(Instant::now());
        }
    }
}

impl Sink for Progress {
    fn write(&mut self, record: &Record) -> Result<()> {
        self.bar.set_position(record.step);
        match record.kind {
            _ if self.lines => self.line(record),
            "train" => self.bar.set_message(summary(record)),
            _ => self.say(&format!("step {}  {}", record.step, summary(record))),
        }
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}

/// The numbers that a person watches.
fn summary(record: &Record) -> String {
    let shown = |name: &str, text: &dyn Fn(f64) -> String| {
        record.get(name).filter(|value| value.is_finite()).map(text)
    };
    let percent = |label: &'static str| move |share: f64| format!("{label} {:.1} %", 100.0 * share);
    let prefix = if record.kind == "train" { "" } else { record.kind };
    let parts = [
        Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty()),
        shown("epoch", &|epoch| format!("epoch {epoch:.2}")),
        shown("images_per_second", &|rate| format!("{rate:.0} images/s")),
        shown("loss", &|loss| match record.get("chance") {
            Some(chance) => format!("loss {loss:.3} (chance {chance:.3})"),
            None => format!("loss {loss:.3}"),
        }),
        shown("linear", &percent("linear")),
        shown("mlp", &percent("mlp")),
        shown("knn", &percent("knn")),
        shown("rankme", &|rank| format!("effective rank {rank:.1}")),
        bottleneck(record),
        shown("bad_samples", &|bad| format!("bad {bad:.0}"))
            .filter(|_| record.get("bad_samples") > Some(0.0)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
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
    fn a_summary_shows_what_is_there_and_finite() {
        let values = vec![
            ("epoch", 1.5),
            ("loss", 2.0),
            ("chance", 3.0),
            ("linear", f64::NAN),
            ("mlp", 0.5),
            ("bad_samples", 0.0),
        ];
        let mut record = Record { kind: "train", step: 1, values, texts: Vec::new() };
        assert_eq!(summary(&record), "epoch 1.50  loss 2.000 (chance 3.000)  mlp 50.0 %");
        record.values = vec![("bound_share", 0.34)];
        record.texts = vec![("bound", "data".to_owned()), ("cure", "--workers 8".to_owned())];
        assert_eq!(summary(&record), "data-bound: waited 34 %, try --workers 8");
    }
}
