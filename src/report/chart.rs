//! Charts as SVG with their labels in HTML around it, so that labels keep their size on a phone.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::json;

use super::{
    scale::{Axis, Point, drawn, ranges},
    text::{escape, grouped, json, number, percent, rounded},
};

/// The size of the drawing, which is stretched over the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;
/// The rows of a chart's table.
const ROWS: usize = 60;

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// As they are, with the name of the unit.
    Plain(&'static str),
    /// Shares, as per cent.
    Share,
}

impl Unit {
    fn words(self, value: f64) -> String {
        match self {
            Self::Plain(_) => number(value),
            Self::Share => percent(value),
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Self::Plain(_) => number(value),
            Self::Share => format!("{} %", number(rounded(100.0 * value))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain(name) => name,
            Self::Share => "",
        }
    }
}

/// One line of a chart.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// Its name, which may come from outside.
    pub(super) name: String,
    /// The number of its colour, from 0 on.
    pub(super) colour: usize,
    /// Whether it is dashed, as the lines of chance levels are.
    pub(super) is_dashed: bool,
    pub(super) points: Vec<Point>,
}

impl Series {
    /// Returns a line in a colour.
    pub(super) fn line(name: &str, colour: usize, points: Vec<Point>) -> Self {
        Self { name: name.to_owned(), colour, is_dashed: false, points }
    }

    /// Returns a dashed line in a colour.
    pub(super) fn dashed(name: &str, colour: usize, points: Vec<Point>) -> Self {
        Self { is_dashed: true, ..Self::line(name, colour, points) }
    }

    fn has_values(&self) -> bool {
        self.points.iter().any(|(_, value)| value.is_some())
    }
}

/// A chart of lines over steps.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) title: &'a str,
    /// A clause that says what to look for.
    pub(super) about: &'a str,
    pub(super) unit: Unit,
    /// Whether the axis begins at zero.
    pub(super) from_zero: bool,
    /// The last step of the axis, which the charts of a page share; the axis begins at 0.
    pub(super) until: u64,
    pub(super) series: Vec<Series>,
}

impl Lines<'_> {
    /// Draws the chart. Returns `None` if no line has a value.
    pub(super) fn draw(mut self) -> Option<String> {
        self.series.retain(Series::has_values);
        let x = Axis::of_steps(0, self.until.max(1));
        let solid = || self.series.iter().flat_map(|series| series.points.iter().filter_map(|point| point.1));
        let found = ranges(solid())?;
        let zero = |(low, high): (f64, f64)| {
            let (low, high) = if self.from_zero {
                (low.min(0.0), if low < high { high } else { 1.2 * high })
            } else {
                (low, high)
            };
            Axis::covering(low, high)
        };
        let usual = found.usual.map(zero);
        let outside = usual
            .as_ref()
            .map_or(0, |axis| solid().filter(|value| *value < axis.low || *value > axis.high).count());
        let mut plots = String::new();
        match usual.filter(|_| outside > 0) {
            Some(usual) => {
                let words = escape(self.title);
                let _ = write!(
                    plots,
                    "<label class=\"outliers\"><input type=\"checkbox\"> Show all {} of {words} beyond this scale</label>",
                    if outside == 1 {
                        "1 value".to_owned()
                    } else {
                        format!("{} values", grouped(outside as u64))
                    },
                );
                plots += &self.plot(&x, &usual, "usual");
                plots += &self.plot(&x, &zero(found.all), "every");
            }
            None => plots = self.plot(&x, &zero(found.all), ""),
        }
        Some(self.figure(&x, &plots))
    }

    fn figure(&self, x: &Axis, plots: &str) -> String {
        let (title, about) = (escape(self.title), escape(self.about));
        let unit = match self.unit.name() {
            "" => String::new(),
            unit => format!(" <span class=\"unit\">{unit}</span>"),
        };
        let legend = self
            .series
            .iter()
            .map(|Series { name, colour, is_dashed, .. }| {
                let dashed = if *is_dashed { " dashed" } else { "" };
                format!("<li class=\"c{}{dashed}\"><i></i><bdi>{}</bdi></li>", colour % 8, escape(name))
            })
            .collect::<Vec<_>>()
            .concat();
        format!(
            "<figure class=\"chart\"><figcaption><h3>{title}{unit}</h3><p>{about}</p></figcaption>\
             <ul class=\"legend\">{legend}</ul><div class=\"plots\">{plots}</div>\
             <output class=\"reading\"></output>{}<script type=\"application/json\" class=\"data\">{}</script></figure>",
            self.table(),
            self.data(x)
        )
    }

    /// Draws the lines on one scale, with its labels.
    fn plot(&self, x: &Axis, y: &Axis, class: &str) -> String {
        let mut drawing = String::new();
        for tick in &y.ticks {
            let at = HEIGHT * (1.0 - y.place(*tick));
            let _ = write!(drawing, "<path class=\"grid\" d=\"M0,{at:.1}H{WIDTH}\"/>");
        }
        for series in &self.series {
            let dashed = if series.is_dashed { " dashed" } else { "" };
            let colour = series.colour % 8;
            let (line, dots) = path(&series.points, x, y);
            let marks = outliers(&series.points, x, y);
            for (class, path) in [
                (format!("line c{colour}{dashed}"), line),
                (format!("line dot c{colour}"), dots),
                (format!("mark c{colour}"), marks),
            ] {
                if !path.is_empty() {
                    let _ = write!(drawing, "<path class=\"{class}\" d=\"{path}\"/>");
                }
            }
        }
        format!(
            "<div class=\"plot {class}\"><div class=\"y\">{}</div><div class=\"area\">\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" tabindex=\"0\" aria-label=\"{}\">\
             {drawing}</svg><div class=\"cursor\"></div></div><div class=\"x\">{}</div></div>",
            y_labels(y, self.unit),
            escape(&self.words()),
            x_labels(x),
        )
    }

    /// Describes the chart in a sentence, for readers who do not see it.
    fn words(&self) -> String {
        let of = |series: &Series| {
            let mut values = series.points.iter().filter_map(|(step, value)| Some((*step, (*value)?)));
            let first = values.next()?;
            let last = values.next_back().unwrap_or(first);
            let (begin, end) = (self.unit.words(first.1), self.unit.words(last.1));
            let (from, to) = (grouped(first.0), grouped(last.0));
            Some(format!("{}: {begin} at step {from}, {end} at step {to}", series.name))
        };
        let all: Vec<_> = self.series.iter().filter_map(of).collect();
        format!("{} by step. {}. Arrow keys read values.", self.title, all.join("; "))
    }

    /// Returns the values of all lines at the steps that are drawn.
    fn rows(&self) -> BTreeMap<u64, Vec<Option<f64>>> {
        let mut rows: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
        for series in &self.series {
            for place in drawn(&series.points) {
                rows.entry(series.points[place].0).or_insert_with(|| vec![None; self.series.len()]);
            }
        }
        for (number, series) in self.series.iter().enumerate() {
            for (step, value) in &series.points {
                if let Some(row) = rows.get_mut(step) {
                    row[number] = *value;
                }
            }
        }
        rows
    }

    fn data(&self, x: &Axis) -> String {
        let rows = self.rows();
        let columns: Vec<Vec<_>> = (0..self.series.len())
            .map(|number| rows.values().map(|row| row[number].map(rounded)).collect())
            .collect();
        json(&json!({
            "from": x.low, "to": x.high, "share": self.unit == Unit::Share,
            "names": self.series.iter().map(|series| &series.name).collect::<Vec<_>>(),
            "steps": rows.keys().collect::<Vec<_>>(), "values": columns,
        }))
    }

    fn table(&self) -> String {
        let rows = self.rows();
        let every = rows.len().div_ceil(ROWS).max(1);
        let heads = self
            .series
            .iter()
            .map(|series| format!("<th scope=\"col\"><bdi>{}</bdi></th>", escape(&series.name)))
            .collect::<Vec<_>>()
            .concat();
        let last = rows.len().saturating_sub(1);
        let shown = rows.iter().enumerate().filter(|(place, _)| place % every == 0 || *place == last);
        let body = shown
            .map(|(_, (step, row))| {
                let cell = |value: &Option<f64>| {
                    format!("<td>{}</td>", value.map_or_else(String::new, |value| self.unit.words(value)))
                };
                let cells = row.iter().map(cell).collect::<Vec<_>>().concat();
                format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", grouped(*step))
            })
            .collect::<Vec<_>>()
            .concat();
        let title = escape(self.title);
        format!(
            "<details class=\"values\"><summary>Values<span class=\"hidden\"> of {title}</span></summary>\
             <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Values of {title}\"><table class=\"numbers\">\
             <thead><tr><th scope=\"col\">step</th>{heads}</tr></thead><tbody>{body}</tbody></table></div></details>"
        )
    }
}

/// Returns the path of a line, and the dots on it. A value that is missing leaves a gap, and a value without neighbours is
/// a dot.
fn path(points: &[Point], x: &Axis, y: &Axis) -> (String, String) {
    let (mut path, mut dots) = (String::new(), String::new());
    let (mut before, mut run) = (String::new(), 0);
    for place in drawn(points).into_iter().map(Some).chain([None]) {
        let Some((step, Some(value))) = place.map(|place| points[place]) else {
            if run == 1 {
                let _ = write!(dots, "M{before}h.01");
            }
            run = 0;
            continue;
        };
        // Far beyond the scale, the line only needs its direction.
        let top = HEIGHT * (1.0 - y.place(value).clamp(-2.0, 3.0));
        let here = format!("{:.1},{top:.1}", WIDTH * x.place(step as f64));
        match run {
            0 => {}
            1 => {
                let _ = write!(path, "M{before}L{here}");
            }
            _ => {
                let _ = write!(path, "L{here}");
            }
        }
        (before, run) = (here, run + 1);
    }
    (path, dots)
}

/// Returns marks at the edge of the scale for the values beyond it.
fn outliers(points: &[Point], x: &Axis, y: &Axis) -> String {
    let mut marks = String::new();
    for place in drawn(points) {
        let (step, Some(value)) = points[place] else { continue };
        let left = WIDTH * x.place(step as f64);
        if value > y.high {
            let _ = write!(marks, "M{left:.1},1h.01");
        } else if value < y.low {
            let _ = write!(marks, "M{left:.1},{}h.01", HEIGHT - 1.0);
        }
    }
    marks
}

fn y_labels(y: &Axis, unit: Unit) -> String {
    let label = |tick: &f64| {
        let top = 100.0 * (1.0 - y.place(*tick));
        let tick = if tick.abs() < 1e-9 * (y.high - y.low) { 0.0 } else { rounded(*tick) };
        format!("<span style=\"top:{top:.2}%\">{}</span>", unit.tick(tick))
    };
    y.ticks.iter().map(label).collect()
}

fn x_labels(x: &Axis) -> String {
    let last = x.ticks.len() - 1;
    let label = |(place, tick): (usize, &f64)| {
        let left = 100.0 * x.place(*tick);
        let words = grouped(*tick as u64);
        match place {
            _ if last == 0 => format!("<span style=\"left:{left:.2}%\">step {words}</span>"),
            0 => format!("<span class=\"first\">step {words}</span>"),
            place if place == last => format!("<span class=\"last\">{words}</span>"),
            _ => format!("<span style=\"left:{left:.2}%\">{words}</span>"),
        }
    };
    x.ticks.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<Point>) -> Lines<'static> {
        let series = vec![Series::line("<total>", 0, points)];
        Lines { title: "Loss", about: "", unit: Unit::Plain("nats"), from_zero: false, until: 8, series }
    }

    #[test]
    fn a_missing_value_leaves_a_gap_and_a_single_one_is_a_dot() {
        let (x, y) = (Axis::of_steps(1, 5), Axis::covering(0.0, 4.0));
        let points = [(1, Some(1.0)), (2, Some(2.0)), (3, None), (4, Some(3.0)), (5, None)];
        let (line, dots) = path(&points, &x, &y);
        assert_eq!((&*line, &*dots), ("M0.0,225.0L250.0,150.0", "M750.0,75.0h.01"));
    }

    #[test]
    fn a_chart_without_values_is_not_drawn_and_names_are_escaped() {
        assert!(chart(vec![(1, None)]).draw().is_none() && chart(Vec::new()).draw().is_none());
        let page = chart(vec![(7, Some(2.5))]).draw().unwrap();
        assert!(page.contains("&lt;total&gt;") && !page.contains("<total>") && page.contains("h.01"));
        assert!(page.contains(r#""steps":[7],"to":8.0,"values":[[2.5]]"#), "{page}");
    }

    #[test]
    fn outliers_are_marked_and_the_whole_range_can_be_shown() {
        let points: Vec<Point> = (0..500)
            .map(|step| (step, Some(if step == 77 { 1e9 } else { 1.0 + step as f64 / 500.0 })))
            .collect();
        let page = chart(points).draw().unwrap();
        assert!(page.contains("Show all 1 value") && page.contains("class=\"mark c0\""), "{page}");
        assert!(page.contains("plot usual") && page.contains("plot every"));
    }
}
