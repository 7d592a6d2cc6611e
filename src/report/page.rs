//! The page: one HTML file about one run, or about several.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    configuration::{self, table},
    confusion, curves, how,
    images::Images,
    pictures,
    state::State,
    subject::Subject,
    text::{escape, grouped, isolated, number, percent, time},
    verdict,
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What a page has beside the numbers.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most images of each kind, of all runs together: samples with their views, validation samples with their
    /// neighbours, bad samples. 0 for none, and at most 40.
    pub images: usize,
    /// What makes the page follow a run that goes on; none for a file.
    pub live: Option<Live>,
}

/// What makes a page follow a run.
#[derive(Debug, Clone)]
pub struct Live {
    /// A script that may connect to the server of the page. It finds the numbers of the headline by their attribute
    /// `data-live`: `step`, `loss`, `rate` and `state`.
    pub script: String,
}

impl Options {
    /// The most images of a kind.
    pub const MOST: usize = 40;
}

impl Default for Options {
    fn default() -> Self {
        Self { images: 12, live: None }
    }
}

/// A part of the page: the name of its anchor, its title, and its HTML.
struct Section(&'static str, &'static str, String);

/// Returns the page about runs, of which the first comes first.
pub(super) fn page(runs: &[Subject], options: &Options) -> String {
    let mut images = Images::new();
    let most = options.images.min(Options::MOST) / runs.len().max(1);
    let most = if options.images > 0 { most.max(1) } else { 0 };
    let mut sections = vec![
        Section("losses", "Losses", grid(&curves::losses(runs), "No loss has been recorded.")),
        Section("accuracy", "Accuracy", grid(&curves::accuracies(runs), "No accuracy has been measured.")),
        Section("health", "Representation", grid(&curves::health(runs), "No validation has been recorded.")),
        Section(
            "speed",
            "Speed",
            grid(&curves::speed(runs), "No speed has been recorded.") + &curves::waits(runs),
        ),
    ];
    if most > 0 {
        sections.push(Section("views", "Views", each(runs, |run| pictures::views(run, most, &mut images))));
    }
    sections.push(Section("neighbours", "Neighbours", each(runs, |run| neighbours(run, most, &mut images))));
    sections.push(Section("confusion", "Confusion", each(runs, confused)));
    sections.push(Section("bad", "Bad samples", each(runs, |run| pictures::bad(run, most, &mut images))));
    sections.push(Section("settings", "Configuration", configuration::section(runs)));
    sections.push(Section("how", "How it was run", each(runs, how::section)));
    document(runs, &sections, options, images.left_out)
}

/// Returns the HTML about each run, under its name if there are several.
fn each(runs: &[Subject], mut of: impl FnMut(&Subject) -> String) -> String {
    if let [run] = runs {
        return of(run);
    }
    let mut all = String::new();
    for (number, run) in runs.iter().enumerate() {
        let (name, colour) = (isolated(&run.name), number % 8);
        let _ = write!(all, "<div class=\"run\"><h3 class=\"c{colour}\"><i></i>{name}</h3>{}</div>", of(run));
    }
    all
}

fn neighbours(run: &Subject, most: usize, images: &mut Images) -> String {
    match &run.findings {
        Some(findings) if most > 0 && !findings.queries.is_empty() => {
            pictures::neighbours(run, findings, most, images)
        }
        Some(_) => "<p>Images are left out.</p>".to_owned(),
        None => absent(run),
    }
}

fn confused(run: &Subject) -> String {
    run.findings.as_ref().map_or_else(|| absent(run), |findings| confusion::section(run, findings))
}

/// Says why nothing is known of a run's neighbours.
fn absent(run: &Subject) -> String {
    let why = if run.classes().is_none_or(|classes| classes == 0) {
        "The samples have no labels, and neighbours vote by labels."
    } else if run.setting("data.val_shards").is_none_or(|shards| shards == "[]") {
        "The run has no validation samples. Give them with <code>--val-shards</code>."
    } else if run.setting("run.knn_every") == Some("0") {
        "The run looks for no neighbours. Let validations look for them with <code>--knn-every 1</code>."
    } else {
        "No validation has looked for neighbours yet."
    };
    format!("<p>{why}</p>")
}

fn grid(charts: &[String], otherwise: &str) -> String {
    match charts {
        [] => format!("<p>{otherwise}</p>"),
        charts => format!("<div class=\"charts\">{}</div>", charts.concat()),
    }
}

fn document(runs: &[Subject], sections: &[Section], options: &Options, left_out: u64) -> String {
    let title = runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", ");
    let connect = if options.live.is_some() { "; connect-src 'self'" } else { "" };
    let links = sections
        .iter()
        .map(|Section(id, name, _)| format!("<a href=\"#{id}\">{name}</a>"))
        .collect::<Vec<_>>()
        .concat();
    let body = sections
        .iter()
        .map(|Section(id, name, html)| format!("<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{name}</h2>{html}</section>"))
        .collect::<Vec<_>>().concat();
    let note = match left_out {
        0 => String::new(),
        left_out => format!(" {} images were left out, so that the file stays small.", grouped(left_out)),
    };
    let live =
        options.live.as_ref().map_or(String::new(), |live| format!("<script>{}</script>", live.script));
    let head = if let [run] = runs { headline(run) } else { comparison(runs) };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:{connect}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"referrer\" content=\"no-referrer\"><title>{} · amdim-stream</title><style>{STYLE}</style></head>\
         <body><main>{head}<nav aria-label=\"Sections\">{links}</nav>{body}</main>\
         <footer>Written {} by amdim-stream {}.{note}</footer><script>{SCRIPT}</script>{live}</body></html>\n",
        escape(&title),
        time(Timestamp::now()),
        env!("CARGO_PKG_VERSION"),
    )
}

fn pill(state: &State) -> String {
    let name = state.name();
    format!("<span class=\"state {name}\" data-live=\"state\">{name}</span>")
}

/// Returns the top of a page about one run: its name, its state, its numbers and the verdict.
fn headline(run: &Subject) -> String {
    let last = run.train.last();
    let mut tiles = String::new();
    let mut tile = |name: &str, live: &str, value: String, note: String| {
        let live = if live.is_empty() { String::new() } else { format!(" data-live=\"{live}\"") };
        let _ = write!(tiles, "<div><dt>{name}</dt><dd><b{live}>{value}</b><span>{note}</span></dd></div>");
    };
    let none = || "—".to_owned();
    let of = run.steps().map_or(String::new(), |steps| format!("of {}", grouped(steps)));
    tile("Step", "step", run.step().map_or_else(none, grouped), of);
    let chance = last
        .and_then(|record| record.chance)
        .map_or(String::new(), |chance| format!("chance {}", number(chance)));
    tile("Loss", "loss", last.and_then(|record| record.loss).map_or_else(none, number), chance);
    for (name, value) in [
        ("Linear probe", run.validated(|record| record.linear)),
        ("MLP probe", run.validated(|record| record.mlp)),
        ("Neighbours", run.validated(|record| record.knn)),
    ] {
        if let Some(value) = value {
            tile(name, "", percent(value), "top-1".to_owned());
        }
    }
    if let Some(rank) = run.validated(|record| record.rankme) {
        tile("Effective rank", "", format!("{rank:.1}"), "RankMe".to_owned());
    }
    tile(
        "Speed",
        "rate",
        last.and_then(|record| record.images_per_second)
            .map_or_else(none, |rate| grouped(rate.round() as u64)),
        "images/s".to_owned(),
    );
    let preset = run.config.as_ref().map_or(String::new(), |config| format!(" · {}", config.preset));
    let changed = run.changed().map_or(String::new(), |at| format!(" · last change {}", time(at)));
    format!(
        "<header><p class=\"kind\">{} · encoder {}{preset}{changed}</p><h1>{} {}</h1><dl class=\"tiles\">{tiles}</dl>{}</header>",
        escape(run.method()),
        escape(&run.encoder()),
        isolated(&run.name),
        pill(&run.state),
        verdict::list(run)
    )
}

/// Returns the row of a run in the table of several.
fn row(place: usize, run: &Subject) -> String {
    let percents = |share: Option<f64>| share.map_or("—".to_owned(), percent);
    let last = run.train.last();
    let loss = last.and_then(|record| Some(record.loss? / record.chance.filter(|chance| *chance > 0.0)?));
    let (step, steps) =
        (run.step().map_or("—".to_owned(), grouped), run.steps().map_or("?".to_owned(), grouped));
    let rate = last.and_then(|record| record.images_per_second);
    let numbers = [
        format!("{step} / {steps}"),
        percents(loss),
        percents(run.validated(|record| record.linear)),
        percents(run.validated(|record| record.mlp)),
        percents(run.validated(|record| record.knn)),
        run.validated(|record| record.rankme).map_or("—".to_owned(), |rank| format!("{rank:.1}")),
        rate.map_or("—".to_owned(), |rate| grouped(rate.round() as u64)),
    ];
    let cells = numbers.map(|number| format!("<td class=\"number\">{number}</td>")).concat();
    format!(
        "<tr><th scope=\"row\" class=\"c{}\"><i></i>{}</th><td>{}</td><td>{}</td><td>{}</td>{cells}</tr>",
        place % 8,
        isolated(&run.name),
        pill(&run.state),
        escape(run.method()),
        escape(&run.encoder()),
    )
}

/// Returns the top of a page about several runs: a table, and the verdict on each.
fn comparison(runs: &[Subject]) -> String {
    let rows = runs.iter().enumerate().map(|(place, run)| row(place, run)).collect::<Vec<_>>().concat();
    let (words, numbers) = (
        ["run", "state", "method", "encoder"],
        ["step", "loss / chance", "linear", "MLP", "neighbours", "rank", "images/s"],
    );
    let heads = words.map(|name| format!("<th scope=\"col\">{name}</th>")).concat()
        + &numbers.map(|name| format!("<th scope=\"col\" class=\"number\">{name}</th>")).concat();
    let mut verdicts = String::new();
    for (place, run) in runs.iter().enumerate() {
        let (name, colour) = (isolated(&run.name), place % 8);
        let verdict = verdict::list(run);
        let _ = write!(verdicts, "<div><h2 class=\"c{colour}\"><i></i>{name}</h2>{verdict}</div>");
    }
    let newest = runs.iter().filter_map(Subject::changed).max();
    let age = newest.map_or(String::new(), |at| format!(" · last change {}", time(at)));
    format!(
        "<header><p class=\"kind\">comparison{age}</p><h1>{} runs</h1>{}<div class=\"verdicts\">{verdicts}</div></header>",
        runs.len(),
        table("The runs", &format!("<tr>{heads}</tr>"), &rows)
    )
}
