//! The confusion of classes by the vote of neighbours.

use super::{
    configuration::table,
    findings::{Findings, MATRIX},
    subject::Subject,
    text::{escape, grouped, isolated, percent},
};

/// The most pairs and classes in the lists.
const LISTED: usize = 15;

/// Returns the matrix, or the most confused pairs of many classes, and the classes that are recognized worst.
pub(super) fn section(run: &Subject, findings: &Findings) -> String {
    let intro = format!(
        "<p>The vote of {} neighbours on {} validation samples after step {}.</p>",
        findings.k,
        grouped(findings.samples),
        grouped(findings.step)
    );
    let matrix = if findings.classes <= MATRIX { matrix(run, findings) } else { String::new() };
    let pairs = pairs(run, findings);
    format!("{intro}<div class=\"split\">{matrix}{pairs}{}</div>", worst(run, findings))
}

fn matrix(run: &Subject, findings: &Findings) -> String {
    let count = |class: u32, voted: u32| {
        let found = findings.confusion.iter().find(|(one, other, _)| (*one, *other) == (class, voted));
        found.map_or(0, |(.., samples)| *samples)
    };
    let heads = (0..findings.classes)
        .map(|class| format!("<th scope=\"col\"><span>{}</span></th>", isolated(&run.class(class))))
        .collect::<Vec<_>>()
        .concat();
    let rows = (0..findings.classes)
        .map(|class| {
            let all: u64 = (0..findings.classes).map(|voted| count(class, voted)).sum();
            let cells = (0..findings.classes)
                .map(|voted| {
                    let samples = count(class, voted);
                    let share = samples as f64 / all.max(1) as f64;
                    let kind = if class == voted { "right" } else { "wrong" };
                    let shown = if samples == 0 { String::new() } else { samples.to_string() };
                    format!("<td class=\"{kind}\" style=\"--share:{share:.3}\">{shown}</td>")
                })
                .collect::<Vec<_>>()
                .concat();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", isolated(&run.class(class)))
        })
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<div class=\"part\"><h3>Matrix</h3><p>A row is a class, a column what the vote says.</p>\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion of classes\"><table class=\"matrix\">\
         <thead><tr><th scope=\"col\">class</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div></div>"
    )
}

fn pairs(run: &Subject, findings: &Findings) -> String {
    let mut wrong: Vec<_> = findings.confusion.iter().filter(|(class, voted, _)| class != voted).collect();
    wrong.sort_by_key(|&&(class, voted, samples)| (u64::MAX - samples, class, voted));
    if wrong.is_empty() {
        return "<div class=\"part\"><h3>Most confused</h3><p>No sample was classified wrongly.</p></div>"
            .to_owned();
    }
    let row = |(class, voted, samples): &&(u32, u32, u64)| {
        let [class, voted] = [class, voted].map(|class| isolated(&run.class(*class)));
        format!(
            "<tr><th scope=\"row\">{class}</th><td>{voted}</td><td class=\"number\">{}</td></tr>",
            grouped(*samples)
        )
    };
    let rows = wrong.iter().take(LISTED).map(row).collect::<Vec<_>>().concat();
    let head = "<tr><th scope=\"col\">class</th><th scope=\"col\">taken for</th><th scope=\"col\" class=\"number\">samples</th></tr>";
    format!("<div class=\"part\"><h3>Most confused</h3>{}</div>", table("Most confused classes", head, &rows))
}

fn worst(run: &Subject, findings: &Findings) -> String {
    let known = (0u32..).zip(&findings.per_class).filter_map(|(class, share)| Some((class, (*share)?)));
    let mut known: Vec<_> = known.collect();
    known.sort_by(|one, other| one.1.total_cmp(&other.1));
    let row = |(class, share): &(u32, f64)| {
        let name = run.class(*class);
        format!(
            "<li><span>{}</span><span class=\"bar\" aria-hidden=\"true\"><i style=\"width:{:.1}%\"></i></span><b>{}</b></li>",
            isolated(&name),
            100.0 * share,
            percent(*share)
        )
    };
    let rows = known.iter().take(LISTED).map(row).collect::<Vec<_>>().concat();
    let title = if known.len() > LISTED { "Classes recognized worst" } else { "Accuracy by class" };
    format!("<div class=\"part\"><h3>{}</h3><ul class=\"bars\">{rows}</ul></div>", escape(title))
}
