//! How a run was carried out: program, machine, starts and ends, promotion.

use super::{
    configuration::table,
    state::State,
    subject::Subject,
    text::{duration, escape, grouped, isolated, number, time},
};
use crate::run::history::{Begun, Event, Outcome};

/// Returns the section about one run.
pub(super) fn section(run: &Subject) -> String {
    let starts: Vec<&Begun> = run
        .history
        .iter()
        .filter_map(|event| match event {
            Event::Start(begun) => Some(&**begun),
            Event::End(_) => None,
        })
        .collect();
    let mut rows = vec![("Run folder", isolated(&run.folder.path.display().to_string()))];
    if let Some(last) = starts.last() {
        let threads = last.threads.map_or(String::new(), |threads| format!(", {threads} compute"));
        rows.push(("Program", format!("amdim-stream {}", escape(&last.program))));
        rows.push(("Machine", isolated(&last.host)));
        rows.push(("Device", format!("{} in {}", escape(&last.device), escape(&last.precision))));
        rows.push(("Threads", format!("{} decode{threads}", last.workers)));
        let is_other = starts.iter().any(|start| start.processes != last.processes);
        let note = if is_other { " since the last start" } else { "" };
        rows.push(("Processes", format!("{}{note}", grouped(last.processes as u64))));
    } else if let Some(precision) = run.setting("train.precision") {
        rows.push(("Precision", escape(precision)));
    }
    rows.push(("Starts", starts_in_words(run, starts.len())));
    if let Some(memory) =
        run.train.iter().filter_map(|record| record.device.tensor_memory_peak).reduce(f64::max)
    {
        rows.push(("Memory of tensors, at most", format!("{} GB", number(memory / 1e9))));
    }
    rows.push(("Promotion", promotion(run)));
    let list = rows
        .iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>"))
        .collect::<Vec<_>>()
        .concat();
    let command = starts.last().map_or(String::new(), |last| {
        format!(
            "<h3>Command</h3><pre class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Command of {}\"><code>{}</code></pre>",
            escape(&run.name),
            escape(&last.command)
        )
    });
    format!("<dl>{list}</dl>{}{command}", events(run))
}

/// Says how often the run was started, and how many of its processes were killed.
fn starts_in_words(run: &Subject, starts: usize) -> String {
    let later = |(place, event): (usize, &Event)| {
        matches!(event, Event::Start(_)) && matches!(run.history.get(place + 1), Some(Event::Start(_)))
    };
    let killed = run.history.iter().enumerate().filter(|entry| later(*entry)).count();
    let killed = killed + usize::from(run.state == State::Killed);
    match (starts, killed) {
        (0, _) => "not recorded".to_owned(),
        (1, 0) => "1".to_owned(),
        (starts, 0) => format!("{starts}"),
        (starts, killed) => format!(
            "{starts}; killed {}",
            if killed == 1 { "once".to_owned() } else { format!("{killed} times") }
        ),
    }
}

fn promotion(run: &Subject) -> String {
    let Some(promotion) = run.manifest.as_ref().and_then(|manifest| manifest.promotion.as_ref()) else {
        return "not asked for".to_owned();
    };
    let folder = isolated(&promotion.folder.display().to_string());
    match &promotion.name {
        Some(name) => format!("step {} as {} in {folder}", grouped(promotion.step), isolated(name)),
        None => format!("refused: {}", isolated(&promotion.refused.join("; "))),
    }
}

/// The attribute of a cell with a number.
const NUMBER: &str = " class=\"number\"";

/// Returns the table of starts and ends.
fn events(run: &Subject) -> String {
    if run.history.is_empty() {
        return String::new();
    }
    let mut begun = None;
    let row = |event: &Event| match event {
        Event::Start(start) => {
            begun = Some(start.time);
            let what = if start.step == 0 { "started" } else { "resumed" };
            (start.time, start.step, what.to_owned(), grouped(start.processes as u64), String::new())
        }
        Event::End(end) => {
            let what = match end.outcome {
                Outcome::Finished => "finished".to_owned(),
                Outcome::Signal => "interrupted by a signal".to_owned(),
                Outcome::Time => "stopped before its time limit".to_owned(),
                Outcome::Failed => {
                    format!("failed: {}", isolated(end.error.as_deref().unwrap_or("an error")))
                }
            };
            let since = begun.take().map(|begun| duration(end.time.duration_since(begun).as_secs_f64()));
            (end.time, end.step, what, String::new(), since.unwrap_or_default())
        }
    };
    let rows = run
        .history
        .iter()
        .map(row)
        .map(|(at, step, what, processes, lasted)| {
            let (at, step) = (time(at), grouped(step));
            format!(
                "<tr><th scope=\"row\">{at}</th><td class=\"number\">{step}</td><td>{what}</td><td class=\"number\">{processes}</td>\
                 <td>{lasted}</td></tr>"
            )
        })
        .collect::<Vec<_>>().concat();
    let head = [("time", ""), ("step", NUMBER), ("event", ""), ("processes", NUMBER), ("lasted", "")];
    let head = head.map(|(name, class)| format!("<th scope=\"col\"{class}>{name}</th>")).concat();
    table(&format!("Starts and ends of {}", run.name), &format!("<tr>{head}</tr>"), &rows)
}
