//! The verdict on a run in sentences.

use super::{
    state::State,
    subject::Subject,
    text::{count, grouped, isolated, number, percent},
};
use crate::{
    eval::health::Health,
    metrics::{Bottleneck, Number, TrainRecord},
};

/// How good what a sentence says is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Plain,
    Care,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Care => "care",
            Self::Bad => "bad",
        }
    }
}

/// A sentence of HTML with its tone.
#[derive(Debug)]
pub(super) struct Sentence(pub(super) Tone, pub(super) String);

/// Returns the verdict on a run. The first sentence says how it stands or ended.
pub(super) fn sentences(run: &Subject) -> Vec<Sentence> {
    let sentences = [Some(end(run)), learning(run), accuracy(run), collapse(run), speed(run), bad(run)];
    sentences.into_iter().flatten().collect()
}

/// Returns the verdict on a run, as a list.
pub(super) fn list(run: &Subject) -> String {
    let item = |Sentence(tone, words)| format!("<li class=\"{}\">{words}</li>", tone.class());
    format!("<ul class=\"verdict\">{}</ul>", sentences(run).into_iter().map(item).collect::<String>())
}

/// Says how the run stands or ended.
fn end(run: &Subject) -> Sentence {
    let step = run.step().map_or("its first step".to_owned(), |step| format!("step {}", grouped(step)));
    let of = run.steps().map_or(String::new(), |steps| format!(" of {}", grouped(steps)));
    let again = "The same command goes on from the last checkpoint.";
    let saved = run.folder.checkpoints.last_step();
    let saved = saved.map_or("There is no checkpoint".to_owned(), |step| {
        format!("The last checkpoint is from step {}", grouped(step))
    });
    match &run.state {
        State::Finished => Sentence(Tone::Good, format!("<b>Finished</b> after {step}{of}.")),
        State::Running => Sentence(Tone::Plain, format!("<b>Running</b>, at {step}{of}.")),
        State::Interrupted => Sentence(Tone::Care, format!("<b>Interrupted</b> at {step}{of}. {again}")),
        State::Killed => Sentence(
            Tone::Care,
            format!(
                "<b>Killed</b>, or its machine stopped, at {step}{of}. {saved}; the same command goes on."
            ),
        ),
        State::Failed(why) => Sentence(Tone::Bad, format!("<b>Failed</b> at {step}{of}: {}", isolated(why))),
    }
}

/// The mean of a number over the last records that have it.
#[derive(Debug, Clone, Copy)]
struct Recent {
    mean: f64,
    records: u64,
}

impl Recent {
    /// Returns the mean over the last twentieth of the records, and at least over five of them.
    fn of(records: &[TrainRecord], number: impl Fn(&TrainRecord) -> Number) -> Option<Self> {
        let values: Vec<f64> =
            records.iter().filter_map(|record| number(record).filter(|value| value.is_finite())).collect();
        let last = &values[values.len() - (values.len() / 20).max(5).min(values.len())..];
        let mean = last.iter().sum::<f64>() / last.len() as f64;
        (!last.is_empty()).then_some(Self { mean, records: last.len() as u64 })
    }

    /// Says that this is a mean, unlike the numbers at the top of the page, which are those of the last record.
    fn over(self) -> String {
        match self.records {
            1 => String::new(),
            records => format!(", on average over the last {} records", grouped(records)),
        }
    }
}

/// Says whether the loss is below its chance level, and whether it still falls.
fn learning(run: &Subject) -> Option<Sentence> {
    if run.train.is_empty() {
        return Some(Sentence(
            Tone::Plain,
            "No record has been written yet, so nothing is known of its loss.".to_owned(),
        ));
    }
    let not_finite = run.train.iter().filter(|record| record.loss.is_none()).count();
    if run.train.last().is_some_and(|record| record.loss.is_none()) {
        let words = "<b>The loss is not finite</b>: training has diverged. Begin another run with a lower <code>--lr</code>.";
        return Some(Sentence(Tone::Bad, words.to_owned()));
    }
    let loss = Recent::of(&run.train, |record| record.loss)?;
    let chance = Recent::of(&run.train, |record| record.chance).filter(|chance| chance.mean > 0.0);
    let Some(chance) = chance else {
        let words = format!("The loss is {} nats{}.", number(loss.mean), loss.over());
        return Some(Sentence(Tone::Plain, words));
    };
    let gaps = match not_finite {
        0 => String::new(),
        gaps => format!(" In {} the loss was not finite.", count(gaps as u64, "record", "records")),
    };
    let numbers = format!("{} nats{}; chance is {}", number(loss.mean), loss.over(), number(chance.mean));
    if loss.records == 1 {
        let words =
            format!("One record is too few to say whether it is learning: the loss is {numbers}.{gaps}");
        return Some(Sentence(Tone::Plain, words));
    }
    let below = 1.0 - loss.mean / chance.mean;
    Some(if below < 0.01 {
        let words = format!("<b>It has not learned yet</b>: the loss is at chance level ({numbers}).{gaps}");
        Sentence(Tone::Bad, words)
    } else {
        let trend = trend(run).unwrap_or_default();
        let words = format!(
            "<b>It is learning</b>: the loss is {} below chance ({numbers}){trend}.{gaps}",
            percent(below)
        );
        Sentence(if not_finite == 0 { Tone::Good } else { Tone::Care }, words)
    })
}

/// Says whether the loss of the last fifth of the records is lower than that of the fifth before.
fn trend(run: &Subject) -> Option<&'static str> {
    let losses: Vec<f64> = run.train.iter().filter_map(|record| record.loss).collect();
    let fifth = losses.len() / 5;
    if fifth < 4 {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (before, last) =
        (&losses[losses.len() - 2 * fifth..losses.len() - fifth], &losses[losses.len() - fifth..]);
    let (from, to) = (mean(before), mean(last));
    let spread = (last.iter().map(|loss| (loss - to).powi(2)).sum::<f64>() / fifth as f64).sqrt();
    let noise = 2.0 * spread / (fifth as f64).sqrt();
    Some(match from - to {
        fall if fall > noise => " and still falls",
        fall if fall < -noise => " but has risen of late",
        _ => " and has levelled off",
    })
}

/// Says how well classifiers use the features.
fn accuracy(run: &Subject) -> Option<Sentence> {
    let named = [
        ("the linear probe", run.validated(|record| record.linear)),
        ("the MLP probe", run.validated(|record| record.mlp)),
        ("a vote of 20 neighbours", run.validated(|record| record.knn)),
    ];
    let shown: Vec<_> =
        named.iter().filter_map(|(name, share)| Some(format!("{name} {}", percent((*share)?)))).collect();
    if shown.is_empty() {
        let why = match (run.classes(), run.setting("data.val_shards")) {
            (None | Some(0), _) => "The samples have no labels, so no accuracy is measured.",
            (_, None | Some("[]")) => {
                "There are no validation samples, so the probes are judged on training batches only."
            }
            _ => return None,
        };
        return Some(Sentence(Tone::Plain, why.to_owned()));
    }
    let best = named.iter().filter_map(|(_, share)| *share).fold(0.0, f64::max);
    let chance = run.classes().filter(|classes| *classes > 0).map(|classes| 1.0 / f64::from(classes));
    let (tone, note) = match chance {
        Some(chance) if best > 2.0 * chance => (Tone::Good, format!(" (chance is {})", percent(chance))),
        Some(chance) if best < 1.2 * chance => {
            (Tone::Care, format!(", which is about chance ({})", percent(chance)))
        }
        Some(chance) => (Tone::Plain, format!(" (chance is {})", percent(chance))),
        None => (Tone::Plain, String::new()),
    };
    Some(Sentence(tone, format!("Top-1 on validation samples: {}{note}.", shown.join(", "))))
}

/// Says whether the representation has collapsed.
fn collapse(run: &Subject) -> Option<Sentence> {
    let record = run.validation.iter().rev().find(|record| record.rankme.is_some())?;
    let (rankme, cosine) = (record.rankme?, record.cosine.unwrap_or(0.0));
    let width = run.config.as_ref().map(|config| config.encoder.chosen().width());
    let of = width.map_or(String::new(), |width| format!(" of {}", grouped(width.unsigned_abs())));
    let health = Health { rankme, cosine, samples: 0 };
    if health.complaint().is_some() {
        let words = format!(
            "<b>The representation has collapsed</b>: effective rank {rankme:.1}, mean cosine {}. Lower <code>--lr</code>, or use a \
             larger batch.",
            number(cosine)
        );
        return Some(Sentence(Tone::Bad, words));
    }
    let words = format!(
        "Features use {rankme:.1}{of} directions (RankMe); two samples have a mean cosine of {}.",
        number(cosine)
    );
    Some(Sentence(Tone::Plain, words))
}

/// Says how fast it is, and what holds it up.
fn speed(run: &Subject) -> Option<Sentence> {
    let rate = Recent::of(&run.train, |record| record.images_per_second)?;
    let waited = Recent::of(&run.train, |record| record.data_wait)?.mean;
    let last = run.train.iter().rev().find(|record| record.bound.is_some());
    let bound = last.and_then(|record| record.bound);
    let what = match bound {
        Some(Bottleneck::Data) => format!("It waits for data {} of the time", percent(waited)),
        Some(Bottleneck::Copy) => "It is held up by copies to the device".to_owned(),
        _ => format!("The steps themselves take the time, and it waits for data {} of it", percent(waited)),
    };
    let cure = last.and_then(|record| record.cure.as_deref());
    let cure = cure.map_or(String::new(), |cure| {
        format!("; <code>{}</code> would help most", super::text::escape(cure))
    });
    let tone = if bound == Some(Bottleneck::Data) && waited > 0.3 { Tone::Care } else { Tone::Plain };
    Some(Sentence(tone, format!("{} images/s{}. {what}{cure}.", number(rate.mean), rate.over())))
}

/// Says how many samples could not be used.
fn bad(run: &Subject) -> Option<Sentence> {
    if run.bad.is_empty() {
        return (!run.train.is_empty())
            .then(|| Sentence(Tone::Good, "Every sample it met could be used.".to_owned()));
    }
    let shards = run.bad.iter().filter(|bad| bad.key.is_none()).count() as u64;
    let samples = run.bad.len() as u64 - shards;
    let mut parts = Vec::new();
    if samples > 0 {
        parts.push(count(samples, "sample", "samples"));
    }
    if shards > 0 {
        parts.push(count(shards, "place in a damaged shard", "places in damaged shards"));
    }
    Some(Sentence(Tone::Care, format!("{} could not be used; the reasons are below.", parts.join(" and "))))
}
