//! The plan as it is read: lines of a terminal.

use anyhow::Result;
use dataset::{Histogram, Inventory};
use indicatif::DecimalBytes;
use serde_json::Value;

use crate::commands::plan::{
    disk::Disk,
    forecast::Forecast,
    loading::{Loading, Stages},
    origins::{Origin, Setting},
    outcome::{ByBatch, Findings, Plan},
    standing::Standing,
    step::{Measured, Memory},
};
use crate::{metrics::Bottleneck, stdout};

/// Columns of a line: 100 with the level before it.
const WIDTH: usize = 94;
/// Columns of what a line is about.
const LABEL: usize = 12;

/// Share of the cores' time from which on it is told that other processes have it.
const STARVED: f64 = 0.1;

/// Says the plan; what is to be looked at goes to stderr.
pub(super) fn say(plan: &Plan) -> Result<()> {
    lines(plan).iter().try_for_each(|line| stdout::say(line))?;
    for warning in warnings(plan) {
        tracing::warn!("{warning}");
    }
    Ok(())
}

fn lines(plan: &Plan) -> Vec<String> {
    let mut said = Said(Vec::new());
    said.line("run folder", &standing(&plan.run, plan.steps));
    inventory(&mut said, "data", &plan.data);
    if let Some(validation) = &plan.validation {
        inventory(&mut said, "validation", validation);
    }
    said.line(
        "length",
        &format!(
            "{} steps of {}, {:.1} an epoch: {:.1} epochs",
            grouped(plan.steps),
            plan.batch_size,
            plan.steps_an_epoch,
            plan.epochs
        ),
    );
    said.line("rate", &plan.schedule.to_string());
    said.line("model", &model(plan));
    said.line("machine", &machine(plan));
    if let Some(measured) = &plan.measured {
        findings(&mut said, plan, measured);
    }
    said.line("memory", &memory(plan));
    said.line("disk", &disk(&plan.checkpoints));
    if let Some(forecast) = &plan.forecast {
        expectation(&mut said, forecast);
    }
    settings(&mut said, &plan.settings);
    said.0
}

/// Lines under labels.
struct Said(Vec<String>);

impl Said {
    /// Adds a text, broken into as many lines as it takes.
    fn line(&mut self, label: &str, text: &str) {
        let mut line = format!("{label:LABEL$}");
        for word in text.split(' ') {
            if line.chars().count() + word.chars().count() > WIDTH && line.len() > LABEL {
                self.0.push(line.trim_end().to_owned());
                line = " ".repeat(LABEL);
            }
            line = line + word + " ";
        }
        self.0.push(line.trim_end().to_owned());
    }
}

fn standing(run: &Standing, steps: u64) -> String {
    let folder = format!("`{}`", run.folder.display());
    match run {
        Standing { refused: Some(_), .. } => format!("{folder}, which refuses this run (below)"),
        Standing { changes: Some(changes), step, .. } => format!(
            "{folder}: {changes} since the run there, at step {}, which would be kept as its `previous`: this is of a new one",
            grouped(*step)
        ),
        Standing { is_unchanged: true, step, .. } => {
            format!(
                "{folder}: finished at step {}, no shard has changed: there is nothing to do",
                grouped(*step)
            )
        }
        Standing { is_finished: true, step, .. } => format!("{folder}: finished at step {}", grouped(*step)),
        Standing { step: 0, .. } => format!("{folder}: new"),
        Standing { step, .. } => {
            format!("{folder}: goes on at step {} of {}", grouped(*step), grouped(steps))
        }
    }
}

fn inventory(said: &mut Said, label: &str, set: &Inventory) {
    let (shards, samples) = (grouped(set.shards as u64), grouped(set.samples));
    said.line(label, &format!("shards: {shards}, samples: {samples}, {}", DecimalBytes(set.bytes)));
    for gap in &set.gaps {
        let names: Vec<_> = gap.missing.iter().map(|name| format!("`{name}`")).collect();
        let more = gap.count - names.len() as u64;
        let more = if more > 0 { format!(" and {} more", grouped(more)) } else { String::new() };
        said.line("", &format!("a gap in the names, without {}{more}", names.join(", ")));
    }
    said.line("", &labels(set));
}

fn labels(set: &Inventory) -> String {
    let Some(Histogram { smallest, median, largest, empty, counts }) = &set.labels else {
        return "no labels".to_owned();
    };
    format!(
        "classes: {}, of {} to {} samples (median {}); empty: {empty}; unlabelled samples: {}",
        grouped(counts.len() as u64),
        grouped(*smallest),
        grouped(*largest),
        grouped(*median),
        grouped(set.unlabelled)
    )
}

fn model(plan: &Plan) -> String {
    format!(
        "{:.1} million parameters; {:.1} billion multiply-accumulates a step",
        plan.parameters as f64 / 1e6,
        plan.gigamacs_a_step
    )
}

fn machine(plan: &Plan) -> String {
    let compute = plan.threads.compute.map_or(String::new(), |threads| format!(", {threads} compute"));
    format!(
        "{}, {}; cores: {}; threads: {} decode{compute}",
        plan.device, plan.precision, plan.cores, plan.threads.decode
    )
}

fn findings(said: &mut Said, plan: &Plan, measured: &Findings) {
    said.line("loading", &loading(&measured.loading));
    if let Some(fast) = &measured.loading_fast {
        said.line(
            "",
            &format!("with --decode fast {} images/s alone", grouped(fast.images_per_second as u64)),
        );
    }
    let copying = match measured.loading.copy_ms {
        Some(milliseconds) => format!("{milliseconds:.2} ms a batch, of the device"),
        None => "none: what is trained on stays where it was decoded".to_owned(),
    };
    said.line("copying", &copying);
    match &measured.step {
        Some(measured) => said.line("step", &step(measured, plan.batch_size)),
        None => said.line("step", &format!("a step of {} does not fit", plan.batch_size)),
    }
    let Some(by_batch) = &measured.by_batch else { return };
    match by_batch.memory {
        Some(memory) => said.line("", &of_batch(memory, by_batch)),
        None => said.line("", "larger steps of three sizes would give its memory as a function of n"),
    }
}

fn loading(loading: &Loading) -> String {
    let Stages { all, read, decode, augment, batch, other } = loading.cpu_us;
    format!(
        "{} pairs/s a core: {:.2} ms each (read {read:.0} µs, decode {decode:.0}, augment {augment:.0}, batch {batch:.0}, \
         other {other:.0}); alone {} images/s",
        grouped(loading.pairs_per_second_of_a_core as u64),
        all / 1e3,
        grouped(loading.images_per_second as u64)
    )
}

fn step(step: &Measured, batch_size: usize) -> String {
    let Measured { batch_size: size, bytes: taken, milliseconds, cpu_milliseconds, .. } = step;
    let instead =
        if *size == batch_size { String::new() } else { format!(", to be quick, not {batch_size}") };
    format!(
        "{milliseconds:.0} ms for {size}{instead} ({cpu_milliseconds:.0} ms of cores); alone {} images/s; {} of tensors",
        grouped((1e3 * *size as f64 / milliseconds) as u64),
        DecimalBytes(*taken)
    )
}

fn of_batch(memory: Memory, by_batch: &ByBatch) -> String {
    let Memory { fixed, linear, quadratic } = memory;
    let &ByBatch { largest_batch: largest, most, indexed, .. } = by_batch;
    let up_to = if largest == Some(most) { "at least" } else { "up to" };
    let mut fits =
        largest.map_or(String::new(), |largest| format!("; {up_to} {largest} fit into what is free"));
    if let Some(indexed) = indexed {
        fits = format!("{fits}; {indexed} are the most that CUDA can index");
    }
    format!(
        "tensors of a step of n: {:.3} GB + n · {:.3} MB + n² · {:.3} kB{fits}",
        fixed / 1e9,
        linear / 1e6,
        quadratic / 1e3
    )
}

fn memory(plan: &Plan) -> String {
    let needs = &plan.memory;
    let mut parts = vec![format!(
        "host: index {}, batches {} × {}, views {}",
        DecimalBytes(needs.index_bytes),
        needs.slabs,
        DecimalBytes(needs.slab_bytes),
        DecimalBytes(needs.spare_bytes)
    )];
    let grown = plan.measured.as_ref().and_then(|measured| measured.loading.grown_bytes);
    parts.extend(grown.map(|grown| format!("loading took {}", DecimalBytes(grown))));
    parts.extend(needs.host_peak_bytes.map(|peak| format!("{} at most in all", DecimalBytes(peak))));
    parts.extend(needs.host_free_bytes.map(|free| format!("free {}", DecimalBytes(free))));
    parts.extend(needs.device_free_bytes.map(|free| format!("free on the device {}", DecimalBytes(free))));
    parts.join("; ")
}

fn disk(disk: &Disk) -> String {
    let Disk { checkpoint_bytes, checkpoints, present, .. } = disk;
    let present = if *present > 0 { format!(", {present} of them there") } else { String::new() };
    let free = disk.free_bytes.map_or(String::new(), |free| format!("; free {}", DecimalBytes(free)));
    format!(
        "up to {} checkpoints at a time of {}{present}: {} to write{free}",
        grouped(*checkpoints),
        DecimalBytes(*checkpoint_bytes),
        DecimalBytes(disk.bytes)
    )
}

fn expectation(said: &mut Said, forecast: &Forecast) {
    let bounded = match forecast.bottleneck {
        Bottleneck::Data => "loading",
        Bottleneck::Copy => "copies to the device",
        Bottleneck::Compute => "computing",
    };
    said.line(
        "to expect",
        &format!(
            "{} images/s, bounded by {bounded}: {} an epoch, {} to go, validations and checkpoints apart",
            grouped(forecast.images_per_second.round() as u64),
            time(forecast.seconds_an_epoch),
            time(forecast.seconds)
        ),
    );
    let remedy = &forecast.remedy;
    let text = match (&remedy.flag, remedy.images_per_second) {
        (Some(flag), Some(rate)) => {
            format!("{flag} would give {} images/s: {}", grouped(rate.round() as u64), remedy.because)
        }
        (Some(flag), None) => format!("{flag}: {}", remedy.because),
        (None, _) => format!("no flag moves that; {}", remedy.because),
    };
    said.line("faster", &text);
}

fn settings(said: &mut Said, settings: &[Setting]) {
    let width = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    for (number, Setting { key, value, from }) in settings.iter().enumerate() {
        let label = if number == 0 { "settings" } else { "" };
        let from = match from {
            Origin::Default => "default",
            Origin::Preset => "preset",
            Origin::Run => "run",
            Origin::File => "file",
            Origin::Flag => "flag",
            Origin::Machine => "machine",
        };
        let value = short(&value_in_words(value), WIDTH - LABEL - width - 10);
        said.0.push(format!("{label:LABEL$}{from:7}  {key:width$} {value}"));
    }
}

fn value_in_words(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Array(values) if values.is_empty() => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(value_in_words).collect::<Vec<_>>().join(", "),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            format!("{}", (number * 1e9).round() / 1e9)
        }
        value => value.to_string(),
    }
}

/// The beginning of a text that is too long.
fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(plan.run.refused.clone());
    warnings.extend(plan.enlarged.map(|enlarged| enlarged.to_string()));
    warnings.extend(plan.schedule.complaint().filter(|_| !plan.run.is_finished));
    let Disk { bytes: needed, free_bytes, fits, .. } = plan.checkpoints;
    if let (Some(false), Some(free)) = (fits, free_bytes) {
        warnings.push(format!(
            "checkpoints need {}, but only {} are free\n  hint: set --keep 1, a larger --keep-every or none, or name another disk with --out",
            DecimalBytes(needed),
            DecimalBytes(free)
        ));
    }
    let Some(measured) = &plan.measured else { return warnings };
    if !measured.cures.is_empty() {
        warnings.push(format!(
            "a step of {} does not fit into the memory of {}\n  hint: {}",
            plan.batch_size,
            plan.device,
            measured.cures.join("; ")
        ));
    }
    let starved = plan.threads.compute.and(measured.step).and_then(|step| step.starved());
    if let Some(starved) = starved.filter(|&starved| starved > STARVED) {
        warnings.push(format!(
            "other processes had the cores for {:.0} % of the time that steps would have used them: what is measured and foretold is \
             of a machine that stays as busy",
            100.0 * starved
        ));
    }
    warnings
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(seconds: f64) -> String {
    let units = [(86_400.0, "days"), (3_600.0, "h"), (60.0, "min")];
    match units.iter().find(|(unit, _)| seconds >= 2.0 * unit) {
        Some((unit, name)) => format!("{:.1} {name}", seconds / unit),
        None => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_and_stays_beside_its_label() {
        let mut said = Said(Vec::new());
        said.line("loading", &"eighteen letters is ".repeat(12));
        assert!(said.0.len() == 3 && said.0[0].starts_with("loading     eighteen"), "{:?}", said.0);
        assert!(said.0[1..].iter().all(|line| line.starts_with(&" ".repeat(LABEL))));
        assert!(said.0.iter().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn quantities_are_short() {
        assert_eq!([0, 999, 1_000, 1_281_167].map(grouped), ["0", "999", "1,000", "1,281,167"]);
        assert_eq!([1.25, 119.0, 7_200.0, 180_000.0].map(time), ["1.2 s", "119.0 s", "2.0 h", "2.1 days"]);
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(value_in_words(&serde_json::json!([0.2, 1e-8, "x"])), "0.2, 0.00000001, x");
    }
}
