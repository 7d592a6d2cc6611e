//! The timeline of a run: what waited for what in each record.

use std::fmt::Write as _;

use super::{
    scale::Axis,
    text::{escape, grouped, percent},
};

/// The columns of a timeline.
const COLUMNS: usize = 240;

/// A share of the time from one record to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) step: u64,
    /// The share of the time in which training waited for data, from 0 to 1.
    pub(super) waited: f64,
    /// The share in which copies to the device ran beside the steps; none on the CPU.
    pub(super) copied: Option<f64>,
}

/// Draws the timeline of a run. Returns `None` without records.
pub(super) fn draw(name: &str, moments: &[Moment]) -> Option<String> {
    let (first, last) = (moments.first()?, moments.last()?);
    let axis = Axis::of_steps(first.step.saturating_sub(1), last.step);
    let mean = |share: &dyn Fn(&Moment) -> f64| moments.iter().map(share).sum::<f64>() / moments.len() as f64;
    let (waited, computed) = (mean(&|moment| moment.waited), mean(&|moment| 1.0 - moment.waited));
    let mut rows = vec![
        ("computed", "c0", computed, bars(moments, &axis, &|moment| Some(1.0 - moment.waited))),
        ("waited for data", "c1", waited, bars(moments, &axis, &|moment| Some(moment.waited))),
    ];
    if moments.iter().any(|moment| moment.copied.is_some()) {
        let copied = mean(&|moment| moment.copied.unwrap_or(0.0));
        rows.push(("copied meanwhile", "c2", copied, bars(moments, &axis, &|moment| moment.copied)));
    }
    let shares: Vec<_> = rows.iter().map(|(what, _, mean, _)| format!("{what} {}", percent(*mean))).collect();
    let words = escape(&format!("{name}: {}, over steps {} to {}", shares.join(", "), first.step, last.step));
    let drawn = rows
        .iter()
        .map(|(what, colour, mean, bars)| {
            format!(
                "<div class=\"share\"><span>{what}</span><svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" \
                 aria-hidden=\"true\"><path class=\"grid\" d=\"M0,0H1000M0,100H1000\"/><path class=\"fill {colour}\" d=\"{bars}\"/></svg>\
                 <b>{}</b></div>",
                percent(*mean)
            )
        })
        .collect::<Vec<_>>().concat();
    Some(format!(
        "<div class=\"band\" role=\"group\" aria-label=\"{words}\">{drawn}<div class=\"ends\"><span>step {}</span><span>{}</span></div></div>",
        grouped(first.step),
        grouped(last.step)
    ))
}

/// Returns the outline of the means of a share, from the bottom up.
fn bars(moments: &[Moment], axis: &Axis, share: &dyn Fn(&Moment) -> Option<f64>) -> String {
    let columns = moments.len().min(COLUMNS);
    let mut path = "M0,100".to_owned();
    let mut left = 0.0;
    for column in 0..columns {
        let places = column * moments.len() / columns..(column + 1) * moments.len() / columns;
        let right = 1000.0 * axis.place(moments[places.end - 1].step as f64);
        let right = if moments.len() == 1 { 1000.0 } else { right };
        let values: Vec<f64> = moments[places].iter().filter_map(share).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let _ = write!(path, "L{left:.1},{0:.1}H{right:.1}", 100.0 * (1.0 - mean.clamp(0.0, 1.0)));
        left = right;
    }
    let _ = write!(path, "L{left:.1},100Z");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_has_the_shares_of_all_records() {
        assert!(draw("run", &[]).is_none());
        let moment = |step, waited| Moment { step, waited, copied: None };
        let one = draw("run", &[moment(5, 0.25)]).unwrap();
        assert!(one.contains("waited for data 25.0\u{a0}%") && one.contains("L0.0,25.0H1000.0"), "{one}");
        let many: Vec<_> = (1..=100_000).map(|step| moment(step, 0.5)).collect();
        assert!(draw("<run>", &many).unwrap().len() < 20_000);
    }
}
