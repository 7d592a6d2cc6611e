//! The plan in words, as lines for a terminal.

use anyhow::Result;
use dataset::{Histogram, Inventory};
use indicatif::DecimalBytes;
use serde_json::Value;

use crate::commands::plan::{
    disk::Disk,
    forecast::{Forecast, Remedy},
    loading::{Loading, Stages},
    origins::{Origin, Setting},
    outcome::{ByBatch, Findings, Plan},
    standing::Standing,
    step::{Measured, Memory},
};
use crate::{hint::Notice, metrics::Bottleneck, notice, report::grouped, run::enlarged::Enlarged, stdout};

/// The columns of a line: 100 with the log level before it.
const WIDTH: usize = 94;
/// The columns of a label.
const LABEL: usize = 12;

/// The share of the CPU time taken by other processes above which there is a warning.
const STARVED: f64 = 0.1;

/// Prints the plan, and logs its warnings.
pub(super) fn say(plan: &Plan) -> Result<()> {
    lines(plan).iter().try_for_each(|line| stdout::say(line))?;
    for warning in warnings(plan) {
        tracing::warn!("{warning}");
    }
    Ok(())
}

fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Lines(Vec::new());
    lines.add("run folder", &standing(&plan.run, plan.steps));
    inventory(&mut lines, "data", &plan.data);
    if let Some(validation) = &plan.validation {
        inventory(&mut lines, "validation", validation);
    }
    lines.add("length", &length(plan));
    lines.add("rate", &plan.schedule.to_string());
    lines.add("model", &model(plan));
    lines.add("machine", &machine(plan));
    if let Some(measured) = &plan.measured {
        findings(&mut lines, plan, measured);
    }
    lines.add("memory", &memory(plan));
    lines.add("disk", &disk(&plan.checkpoints));
    if let Some(forecast) = &plan.forecast {
        speed(&mut lines, forecast);
    }
    if let Some(server) = &plan.server {
        let texts = server.words().into_iter().enumerate();
        texts.for_each(|(number, text)| lines.add(if number == 0 { "server" } else { "" }, &text));
    }
    if let Some(processes) = &plan.processes {
        let loading = plan.forecast.as_ref().map(|forecast| forecast.alone.data);
        let texts = processes.words(loading).into_iter().enumerate();
        texts.for_each(|(number, text)| lines.add(if number == 0 { "processes" } else { "" }, &text));
    }
    settings(&mut lines, &plan.settings);
    lines.0
}

/// Lines with labels.
struct Lines(Vec<String>);

impl Lines {
    /// Adds a text, broken into lines of at most [`WIDTH`] columns.
    fn add(&mut self, label: &str, text: &str) {
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
        Standing { refused: Some(_), .. } => format!("{folder}, which refuses this run (see below)"),
        Standing { changes: Some(changes), step, .. } => format!(
            "{folder}: {changes} since its run began; that run, at step {}, would be kept as `previous`, and this plan is for a new run",
            grouped(*step)
        ),
        Standing { is_unchanged: true, step, .. } => {
            format!("{folder}: finished at step {}, no shard has changed: nothing to do", grouped(*step))
        }
        Standing { is_finished: true, step, .. } => format!("{folder}: finished at step {}", grouped(*step)),
        Standing { step: 0, .. } => format!("{folder}: new"),
        Standing { step, .. } => {
            format!("{folder}: resumes at step {} of {}", grouped(*step), grouped(steps))
        }
    }
}

fn length(plan: &Plan) -> String {
    let Plan { batch_size, steps_an_epoch, epochs, .. } = plan;
    format!(
        "{} steps of {batch_size} samples, {steps_an_epoch:.1} an epoch: {epochs:.1} epochs",
        grouped(plan.steps)
    )
}

fn inventory(lines: &mut Lines, label: &str, set: &Inventory) {
    let (shards, samples) = (grouped(set.shards as u64), grouped(set.samples));
    lines.add(label, &format!("shards: {shards}, samples: {samples}, {}", DecimalBytes(set.bytes)));
    for gap in &set.gaps {
        let names: Vec<_> = gap.missing.iter().map(|name| format!("`{name}`")).collect();
        let more = gap.count - names.len() as u64;
        let more = if more > 0 { format!(" and {} more", grouped(more)) } else { String::new() };
        lines.add("", &format!("a gap in the names: {}{more} missing", names.join(", ")));
    }
    lines.add("", &labels(set));
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

fn findings(lines: &mut Lines, plan: &Plan, measured: &Findings) {
    lines.add("loading", &loading(&measured.loading));
    if let Some(fast) = &measured.loading_fast {
        let rate = grouped(fast.images_per_second as u64);
        lines.add("", &format!("with --decode fast {rate} images/s alone"));
    }
    lines.add("copying", &copying(&measured.loading));
    match &measured.step {
        Some(measured) => lines.add("step", &step(measured, plan.batch_size)),
        None => lines.add("step", &format!("a step of {} does not fit into memory", plan.batch_size)),
    }
    let Some(by_batch) = &measured.by_batch else { return };
    match by_batch.memory {
        Some(memory) => lines.add("", &memory_by_batch(memory, by_batch)),
        None => lines.add("", "the steps were too small to show their memory as a function of n"),
    }
}

fn copying(loading: &Loading) -> String {
    match loading.copy_ms {
        Some(milliseconds) => format!("{milliseconds:.2} ms of device time per batch"),
        None => "none: on the CPU, batches are not copied".to_owned(),
    }
}

fn loading(loading: &Loading) -> String {
    let Stages { all, read, decode, augment, batch, other } = loading.cpu_us;
    format!(
        "{} samples/s a core: {:.2} ms each (read {read:.0} µs, decode {decode:.0}, augment {augment:.0}, batch {batch:.0}, \
         other {other:.0}); alone {} images/s",
        grouped(loading.samples_per_second_of_a_core as u64),
        all / 1e3,
        grouped(loading.images_per_second as u64)
    )
}

fn step(step: &Measured, batch_size: usize) -> String {
    let Measured { batch_size: size, bytes: taken, milliseconds, cpu_milliseconds, .. } = step;
    let instead =
        if *size == batch_size { String::new() } else { format!(" instead of {batch_size}, to save time") };
    format!(
        "{milliseconds:.0} ms for {size}{instead} ({cpu_milliseconds:.0} ms CPU time); alone {} images/s; {} of tensors",
        grouped((1e3 * *size as f64 / milliseconds) as u64),
        DecimalBytes(*taken)
    )
}

fn memory_by_batch(memory: Memory, by_batch: &ByBatch) -> String {
    let Memory { fixed, linear, quadratic } = memory;
    let &ByBatch { largest_batch: largest, most, indexed, .. } = by_batch;
    let up_to = if largest == Some(most) { "at least" } else { "up to" };
    let mut fits = largest
        .map_or(String::new(), |largest| format!("; batches of {up_to} {largest} fit into the free memory"));
    if let Some(indexed) = indexed {
        fits = format!("{fits}; CUDA can index batches of up to {indexed}");
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
    parts.extend(grown.map(|grown| format!("loading used {}", DecimalBytes(grown))));
    parts.extend(needs.host_peak_bytes.map(|peak| format!("peak {}", DecimalBytes(peak))));
    parts.extend(needs.host_free_bytes.map(|free| format!("free {}", DecimalBytes(free))));
    let state = needs.state.iter().map(|state| format!("{} {}", state.name, DecimalBytes(state.bytes)));
    parts.extend(state);
    parts.extend(needs.device_free_bytes.map(|free| format!("free on the device {}", DecimalBytes(free))));
    parts.join("; ")
}

fn disk(disk: &Disk) -> String {
    let Disk { checkpoint_bytes, checkpoints, present, .. } = disk;
    let present = if *present > 0 { format!(", {present} of which exist") } else { String::new() };
    let free = disk.free_bytes.map_or(String::new(), |free| format!("; free {}", DecimalBytes(free)));
    format!(
        "up to {} checkpoints of {} at a time{present}: {} to write{free}",
        grouped(*checkpoints),
        DecimalBytes(*checkpoint_bytes),
        DecimalBytes(disk.bytes)
    )
}

fn speed(lines: &mut Lines, forecast: &Forecast) {
    let limit = match forecast.bottleneck {
        Bottleneck::Data => "loading",
        Bottleneck::Copy => "copies to the device",
        Bottleneck::Compute => "computing",
    };
    let expected = format!(
        "{} images/s, limited by {limit}: {} an epoch, {} to go, without validations and checkpoints",
        grouped(forecast.images_per_second.round() as u64),
        time(forecast.seconds_an_epoch),
        time(forecast.seconds)
    );
    lines.add("forecast", &expected);
    lines.add("faster", &remedy(&forecast.remedy));
}

fn remedy(remedy: &Remedy) -> String {
    let because = &remedy.because;
    match (&remedy.flag, remedy.images_per_second) {
        (Some(flag), Some(rate)) => {
            format!("{flag} would give {} images/s: {because}", grouped(rate.round() as u64))
        }
        (Some(flag), None) => format!("{flag}: {because}"),
        (None, _) => format!("no flag helps; {because}"),
    }
}

fn settings(lines: &mut Lines, settings: &[Setting]) {
    let width = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    for (number, Setting { key, value, from }) in settings.iter().enumerate() {
        let label = if number == 0 { "settings" } else { "" };
        let value = short(&value_in_words(value), WIDTH - LABEL - width - 10);
        lines.0.push(format!("{label:LABEL$}{:7}  {key:width$} {value}", origin(*from)));
    }
}

fn origin(from: Origin) -> &'static str {
    match from {
        Origin::Default => "default",
        Origin::Preset => "preset",
        Origin::Run => "run",
        Origin::File => "file",
        Origin::Flag => "flag",
        Origin::Machine => "machine",
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

/// Cuts a text off that is longer than `width`.
fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(plan.run.refused.clone());
    warnings.extend(plan.processes.as_ref().and_then(|processes| processes.refused.clone()));
    let notices = [
        plan.enlarged.map(Enlarged::notice),
        plan.schedule.complaint().filter(|_| !plan.run.is_finished),
        full_disk(&plan.checkpoints),
        too_large_step(plan),
    ];
    warnings.extend(notices.iter().flatten().map(Notice::to_string));
    warnings.extend(busy_machine(plan));
    warnings
}

fn full_disk(disk: &Disk) -> Option<Notice> {
    let Disk { bytes: needed, free_bytes: Some(free), fits: Some(false), .. } = *disk else { return None };
    Some(notice!(
        "checkpoints need {}, but only {} are free", DecimalBytes(needed), DecimalBytes(free);
        "set --keep 1, a larger --keep-every or none, or name another disk with --out"
    ))
}

fn too_large_step(plan: &Plan) -> Option<Notice> {
    let Findings { cures, .. } = plan.measured.as_ref().filter(|measured| !measured.cures.is_empty())?;
    let (batch_size, device) = (plan.batch_size, &plan.device);
    let cures = cures.join("; ");
    Some(notice!("a step of {batch_size} does not fit into the memory of {device}"; "{cures}"))
}

fn busy_machine(plan: &Plan) -> Option<String> {
    let step = plan.threads.compute.and(plan.measured.as_ref()?.step)?;
    let starved = step.starved().filter(|&starved| starved > STARVED)?;
    Some(format!(
        "other processes used the cores for {:.0} % of the time that steps needed them: the measurements and the forecast hold for a \
         machine that stays as busy",
        100.0 * starved
    ))
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
        let mut lines = Lines(Vec::new());
        lines.add("loading", &"eighteen letters is ".repeat(12));
        assert!(lines.0.len() == 3 && lines.0[0].starts_with("loading     eighteen"), "{:?}", lines.0);
        assert!(lines.0[1..].iter().all(|line| line.starts_with(&" ".repeat(LABEL))));
        assert!(lines.0.iter().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn quantities_are_shown_in_short_form() {
        assert_eq!([0, 999, 1_000, 1_281_167].map(grouped), ["0", "999", "1,000", "1,281,167"]);
        assert_eq!([1.25, 119.0, 7_200.0, 180_000.0].map(time), ["1.2 s", "119.0 s", "2.0 h", "2.1 days"]);
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(value_in_words(&serde_json::json!([0.2, 1e-8, "x"])), "0.2, 0.00000001, x");
    }
}
