//! The charts of one run, or of several on the same axes.

use std::collections::BTreeSet;

use super::{
    band,
    chart::{Lines, Series, Unit},
    parts,
    scale::Point,
    subject::Subject,
    text::isolated,
};
use crate::metrics::{Number, TrainRecord, ValidationRecord};

fn finite(number: Number) -> Option<f64> {
    number.filter(|number| number.is_finite())
}

fn trained(run: &Subject, number: impl Fn(&TrainRecord) -> Number) -> Vec<Point> {
    run.train.iter().map(|record| (record.step, finite(number(record)))).collect()
}

/// Returns the last step of the axes of all charts.
fn until(runs: &[Subject]) -> u64 {
    runs.iter().filter_map(Subject::step).max().unwrap_or(1)
}

/// Returns the values of the validations that measured a number: gaps between them are no gaps of the line.
fn validated(run: &Subject, number: impl Fn(&ValidationRecord) -> Number) -> Vec<Point> {
    let values = run.validation.iter().map(|record| (record.step, finite(number(record))));
    values.filter(|(_, value)| value.is_some()).collect()
}

/// Returns the charts of the losses.
pub(super) fn losses(runs: &[Subject]) -> Vec<String> {
    let [run] = runs else { return compared_losses(runs) };
    let whole = Lines {
        title: "Loss",
        about: "Means since the record before. The dashed line is the loss of features without information.",
        unit: Unit::Plain("nats"),
        from_zero: false,
        until: until(runs),
        series: vec![
            Series::line("loss", 0, trained(run, |record| record.loss)),
            Series::dashed("chance", 7, trained(run, |record| record.chance)),
        ],
    };
    [whole.draw(), parts_of(runs, run).draw(), others_of(runs, run).draw()].into_iter().flatten().collect()
}

/// Returns the losses of several runs as shares of their chance levels, which differ between methods and batch sizes.
fn compared_losses(runs: &[Subject]) -> Vec<String> {
    let share = |record: &TrainRecord| Some(record.loss? / record.chance.filter(|chance| *chance > 0.0)?);
    let mut series = by_run(runs, |run| trained(run, share));
    series.push(Series::dashed("chance", 7, vec![(0, Some(1.0)), (until(runs), Some(1.0))]));
    let chart = Lines {
        title: "Loss as a share of its chance level",
        about: "Losses of different methods and batch sizes have different chance levels. Lower is better.",
        unit: Unit::Share,
        from_zero: false,
        until: until(runs),
        series,
    };
    let plain = Lines {
        title: "Loss",
        about: "Compare it between runs of the same method and batch size only.",
        unit: Unit::Plain("nats"),
        from_zero: false,
        until: until(runs),
        series: by_run(runs, |run| trained(run, |record| record.loss)),
    };
    [chart.draw(), plain.draw()].into_iter().flatten().collect()
}

/// Returns one line with a name and a colour of its own, or a line for each of several runs.
fn of_runs(
    runs: &[Subject],
    name: &str,
    colour: usize,
    points: impl Fn(&Subject) -> Vec<Point>,
) -> Vec<Series> {
    match runs {
        [run] => vec![Series::line(name, colour, points(run))],
        runs => by_run(runs, points),
    }
}

fn by_run(runs: &[Subject], points: impl Fn(&Subject) -> Vec<Point>) -> Vec<Series> {
    runs.iter().enumerate().map(|(number, run)| Series::line(&run.name, number, points(run))).collect()
}

/// Returns the names of the parts of a run's loss.
fn names(run: &Subject, is_loss: bool) -> BTreeSet<&str> {
    let all = run.train.iter().flat_map(|record| record.parts.keys());
    all.map(String::as_str).filter(|name| parts::is_loss(name) == is_loss).collect()
}

/// Returns the chart of the parts of a loss, each with its chance level.
fn parts_of(runs: &[Subject], run: &Subject) -> Lines<'static> {
    let mut series = Vec::new();
    let mut levels: Vec<(Vec<Point>, usize, Vec<&str>)> = Vec::new();
    for (colour, name) in names(run, true).into_iter().enumerate() {
        series.push(Series::line(name, colour, trained(run, |record| record.parts.get(name).copied())));
        let Some(config) = &run.config else { continue };
        let points = trained(run, |record| parts::chance_of(config, name, record.chance?));
        match levels.iter_mut().find(|(other, ..)| *other == points) {
            Some((.., names)) => names.push(name),
            None => levels.push((points, colour, vec![name])),
        }
    }
    let is_common = levels.len() == 1;
    for (points, colour, names) in levels {
        let colour = if is_common { 7 } else { colour };
        series.push(Series::dashed(&format!("chance of {}", names.join(", ")), colour, points));
    }
    Lines {
        title: "Parts of the loss",
        about: "A part that stays at its dashed line has learned nothing.",
        unit: Unit::Plain("nats"),
        from_zero: false,
        until: until(runs),
        series,
    }
}

/// Returns the chart of the numbers of the method that are no losses.
fn others_of(runs: &[Subject], run: &Subject) -> Lines<'static> {
    let series = names(run, false).into_iter().enumerate();
    Lines {
        title: "Other numbers of the method",
        about: "",
        unit: Unit::Plain(""),
        from_zero: true,
        until: until(runs),
        series: series
            .map(|(colour, name)| {
                Series::line(name, colour, trained(run, |record| record.parts.get(name).copied()))
            })
            .collect(),
    }
}

/// Returns the charts of the accuracies.
pub(super) fn accuracies(runs: &[Subject]) -> Vec<String> {
    let chance = |series: &mut Vec<Series>| {
        let classes = runs.first().and_then(Subject::classes).filter(|classes| *classes > 0);
        if let Some(classes) = classes {
            let level = Some(1.0 / f64::from(classes));
            series.push(Series::dashed("chance", 7, vec![(0, level), (until(runs), level)]));
        }
    };
    let draw = |title, about, mut series: Vec<Series>| {
        chance(&mut series);
        let has_more = series
            .iter()
            .any(|series| !series.is_dashed && series.points.iter().any(|point| point.1.is_some()));
        let lines = Lines { title, about, unit: Unit::Share, from_zero: true, until: until(runs), series };
        lines.draw().filter(|_| has_more)
    };
    let on_validation = "Top-1 on validation samples. Labels train only these classifiers, not the encoder.";
    if let [run] = runs {
        let validation = vec![
            Series::line("linear probe", 0, validated(run, |record| record.linear)),
            Series::line("MLP probe", 1, validated(run, |record| record.mlp)),
            Series::line("vote of 20 neighbours", 2, validated(run, |record| record.knn)),
        ];
        let training = vec![
            Series::line("linear probe", 0, trained(run, |record| record.probe.linear)),
            Series::line("MLP probe", 1, trained(run, |record| record.probe.mlp)),
        ];
        let charts = [
            draw("Accuracy on validation samples", on_validation, validation),
            draw("Accuracy in training", "Top-1 of the probes on augmented training batches.", training),
        ];
        return charts.into_iter().flatten().collect();
    }
    let linear = by_run(runs, |run| validated(run, |record| record.linear));
    let mlp = by_run(runs, |run| validated(run, |record| record.mlp));
    let knn = by_run(runs, |run| validated(run, |record| record.knn));
    let charts = [
        draw("Linear probe", on_validation, linear),
        draw("MLP probe", on_validation, mlp),
        draw("Vote of 20 neighbours", "Top-1 of the nearest training samples.", knn),
    ];
    charts.into_iter().flatten().collect()
}

/// Returns the charts of the representation's health.
pub(super) fn health(runs: &[Subject]) -> Vec<String> {
    let rank = Lines {
        title: "Effective rank (RankMe)",
        about: "The number of directions that features use. A fall towards 1 is a collapse.",
        unit: Unit::Plain(""),
        from_zero: true,
        until: until(runs),
        series: of_runs(runs, "RankMe", 3, |run| validated(run, |record| record.rankme)),
    };
    let cosine = Lines {
        title: "Mean cosine of two samples",
        about: "Near 1, all images have the same features.",
        unit: Unit::Plain(""),
        from_zero: true,
        until: until(runs),
        series: of_runs(runs, "cosine", 3, |run| validated(run, |record| record.cosine)),
    };
    [rank.draw(), cosine.draw()].into_iter().flatten().collect()
}

/// Returns the charts of the speed and of the learning rate.
pub(super) fn speed(runs: &[Subject]) -> Vec<String> {
    let rate = Lines {
        title: "Speed",
        about: "Without the time of validations.",
        unit: Unit::Plain("images/s"),
        from_zero: true,
        until: until(runs),
        series: of_runs(runs, "images/s", 0, |run| trained(run, |record| record.images_per_second)),
    };
    let lr = Lines {
        title: "Learning rate",
        about: "After warm-up and drops.",
        unit: Unit::Plain(""),
        from_zero: true,
        until: until(runs),
        series: of_runs(runs, "learning rate", 4, |run| trained(run, |record| record.lr)),
    };
    [rate.draw(), lr.draw()].into_iter().flatten().collect()
}

/// Returns the timelines of what waited for what.
pub(super) fn waits(runs: &[Subject]) -> String {
    let of = |run: &Subject| {
        let moment = |record: &TrainRecord| {
            let copied = record.device.copy_ms.zip(record.step_ms).map(|(copy, step)| (copy / step).min(1.0));
            Some(band::Moment {
                step: record.step,
                waited: finite(record.data_wait)?.clamp(0.0, 1.0),
                copied,
            })
        };
        let moments: Vec<_> = run.train.iter().filter_map(moment).collect();
        let drawn = band::draw(&run.name, &moments)?;
        let name = if runs.len() > 1 { format!("<h4>{}</h4>", isolated(&run.name)) } else { String::new() };
        Some(name + &drawn)
    };
    let all = runs.iter().filter_map(of).collect::<Vec<_>>().concat();
    if all.is_empty() {
        return all;
    }
    format!(
        "<div class=\"wide\"><h3>What training waited for</h3><p>Shares of the time of each record, from 0 (bottom) to 100 %.</p>{all}</div>"
    )
}
