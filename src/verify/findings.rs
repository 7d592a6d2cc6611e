//! What was found: counted by kind, written to the report, and told in words.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use pipeline::Oddity;
use serde::Serialize;
use serde_json::{Value, json};
use shards::RemarkKind;

use super::{
    compare::{Note, Notes, Place},
    examine::Examined,
    kind::Kind,
    report::Report,
};
use crate::stdout;

/// So many findings of a kind are named on stderr.
const NAMED: usize = 5;

/// One finding.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    kind: Kind,
    shard: &'a str,
    offset: u64,
    /// None for what concerns the shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    reason: String,
}

impl Finding<'_> {
    fn in_words(&self) -> String {
        let Self { shard, offset, key, reason, .. } = self;
        match key {
            Some(key) => format!("  `{key}`, shard `{shard}` at byte {offset}: {reason}"),
            None => format!("  shard `{shard}` at byte {offset}: {reason}"),
        }
    }
}

/// How many samples there are, and findings of each kind.
#[derive(Debug, Clone, Default)]
struct Counts {
    samples: u64,
    labelled: u64,
    kept: u64,
    ignored: u64,
    found: [u64; Kind::ALL.len()],
    /// Images that are tolerated, by what is odd about them.
    oddities: BTreeMap<Oddity, u64>,
}

impl Counts {
    fn found(&self, kind: Kind) -> u64 {
        self.found[kind as usize]
    }

    /// Findings of the kinds that are chosen.
    fn sum(&self, is_chosen: impl Fn(Kind) -> bool) -> u64 {
        Kind::ALL.iter().filter(|(kind, ..)| is_chosen(*kind)).map(|(kind, ..)| self.found(*kind)).sum()
    }

    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.labelled += other.labelled;
        self.kept += other.kept;
        self.ignored += other.ignored;
        self.found.iter_mut().zip(other.found).for_each(|(sum, more)| *sum += more);
        other.oddities.iter().for_each(|(oddity, more)| *self.oddities.entry(*oddity).or_default() += more);
    }

    /// Under `shards`, what is counted.
    fn object(&self, shards: Value) -> Value {
        let (name, labelled) = (if shards.is_string() { "shard" } else { "shards" }, self.labelled);
        let mut object = json!({ name: shards, "samples": self.samples, "kept": self.kept, "labelled": labelled, "ignored": self.ignored });
        for (kind, name, ..) in Kind::ALL {
            object[name] = json!(self.found(kind));
        }
        let oddities = self.oddities.iter().map(|(oddity, count)| (oddity.name().to_owned(), json!(count)));
        object["tolerated_kinds"] = Value::Object(oddities.collect());
        object
    }

    /// What is counted of these kinds.
    fn row(&self, name: &str, width: usize, columns: &[(Kind, &str)]) -> String {
        let cell = |(kind, column): &(Kind, &str)| match self.found(*kind) {
            0 => format!("  {:>1$}", "-", column.len()),
            count => format!("  {count:>0$}", column.len()),
        };
        format!("{name:<width$}  {:>9}", self.samples) + &columns.iter().map(cell).collect::<String>()
    }
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Findings {
    report: Option<Report>,
    shards: Vec<(String, Counts)>,
    totals: Counts,
    /// The first of each kind, in words.
    named: BTreeMap<Kind, Vec<String>>,
    shared_keys: u64,
}

impl Findings {
    /// None yet; the file of the report is begun.
    pub(super) fn create(report: Option<&Path>) -> Result<Self> {
        Ok(Self {
            report: report.map(Report::create).transpose()?,
            shards: Vec::new(),
            totals: Counts::default(),
            named: BTreeMap::new(),
            shared_keys: 0,
        })
    }

    /// Adds what was found in each shard.
    pub(super) fn add_all(&mut self, shards: &[Examined], notes: &Notes) -> Result<()> {
        self.shared_keys = notes.shared_keys;
        let mut rest = notes.samples.as_slice();
        for (number, shard) in shards.iter().enumerate() {
            let (own, others) =
                rest.split_at(rest.partition_point(|((shard, _), _)| *shard as usize <= number));
            rest = others;
            let found = collect(shards, shard, own, notes.sorted[number].map(|sorted| sorted.to_string()));
            self.add(shard, found)?;
        }
        Ok(())
    }

    fn add(&mut self, shard: &Examined, found: Vec<Finding<'_>>) -> Result<()> {
        let mut counts = Counts {
            samples: shard.samples.len() as u64,
            labelled: shard.samples.iter().filter(|sample| sample.label.is_some()).count() as u64,
            kept: shard.kept().count() as u64,
            ignored: shard.ignored,
            ..Counts::default()
        };
        for oddity in shard.kept().flat_map(|(_, sample)| sample.oddities.iter()) {
            *counts.oddities.entry(oddity).or_default() += 1;
        }
        for finding in found {
            counts.found[finding.kind as usize] += 1;
            let named = self.named.entry(finding.kind).or_default();
            if named.len() < NAMED {
                named.push(finding.in_words());
            }
            if let Some(report) = &mut self.report {
                report.write(&finding)?;
            }
        }
        self.totals.add(&counts);
        self.shards.push((shard.name.as_str().to_owned(), counts));
        Ok(())
    }

    /// An object for each shard.
    pub(super) fn objects(&self) -> impl Iterator<Item = Value> {
        self.shards.iter().map(|(name, counts)| counts.object(json!(name)))
    }

    /// An object for all.
    pub(super) fn totals(&self) -> Value {
        self.totals.object(json!(self.shards.len()))
    }

    /// Shows the table and the first findings of each kind.
    pub(super) fn show(&self) -> Result<()> {
        const ROWS: usize = 20;
        let with_findings = |(_, counts): &&(String, Counts)| counts.found.iter().any(|&count| count > 0);
        let rows: Vec<_> = match self.shards.len() {
            ..=ROWS => self.shards.iter().collect(),
            _ => self.shards.iter().filter(with_findings).take(ROWS).collect(),
        };
        let names = rows.iter().map(|(name, _)| name.chars().count());
        let width = names.max().unwrap_or(0).max("all shards".len());
        let found = Kind::ALL.into_iter().filter(|(kind, ..)| self.totals.found(*kind) > 0);
        let columns: Vec<_> = found.map(|(kind, _, column, _)| (kind, column)).collect();
        let titles: String = columns.iter().flat_map(|(_, column)| ["  ", *column]).collect();
        stdout::say(&format!("{:<width$}  {:>9}{titles}", "", "samples"))?;
        rows.iter().try_for_each(|(name, counts)| stdout::say(&counts.row(name, width, &columns)))?;
        stdout::say(&self.totals.row("all shards", width, &columns))?;
        if rows.len() < self.shards.len() {
            let (shown, all) = (rows.len(), self.shards.len());
            stdout::say(&format!("{shown} of {all} shards are shown, the JSON on stdout (--json) has all"))?;
        }
        self.show_named();
        Ok(())
    }

    fn show_named(&self) {
        for (kind, _, _, title) in Kind::ALL {
            let Some(named) = self.named.get(&kind) else { continue };
            tracing::warn!("{title}: {}", self.totals.found(kind));
            for line in named {
                tracing::warn!("{line}");
            }
            match (self.totals.found(kind) - named.len() as u64, &self.report) {
                (0, _) => {}
                (more, Some(_)) => tracing::warn!("  and {more} more"),
                (more, None) => tracing::warn!("  and {more} more; --report FILE.jsonl lists all"),
            }
        }
        for (oddity, count) in &self.totals.oddities {
            tracing::info!("tolerated: {count} with {oddity}");
        }
        if self.totals.ignored > 0 {
            let ignored = self.totals.ignored;
            tracing::info!("{ignored} {}", RemarkKind::Ignored.words(ignored));
        }
        if self.shared_keys > 0 {
            tracing::info!(
                "{} keys stand in several shards, which is no damage: every sample is used",
                self.shared_keys
            );
        }
        if self.totals.labelled == 0 && self.totals.samples > 0 {
            tracing::info!("no sample is labelled: training needs no labels, probes do");
        }
    }

    /// What is lost on training, in words; none if nothing is.
    pub(super) fn losses(&self) -> Option<String> {
        let Counts { samples, kept, .. } = self.totals;
        let faults = self.totals.found(Kind::Fault);
        let unread = self.totals.sum(|kind| kind.is_loss() && !kind.is_removable());
        if self.totals.sum(Kind::is_loss) == 0 {
            return None;
        }
        let mut losses = vec![format!("{} of {samples} samples cannot be used", samples - kept)];
        losses.extend((faults > 0).then(|| format!("there are {faults} faults of whole shards")));
        losses.extend((unread > 0).then(|| format!("{unread} labels or links cannot be used")));
        Some(losses.join(", and "))
    }

    /// Whether there is something that cleaned shards would be without.
    pub(super) fn any_removable(&self) -> bool {
        self.totals.sum(Kind::is_removable) > 0
    }

    /// Whether shards are sorted by class.
    pub(super) fn any_sorted(&self) -> bool {
        self.totals.found(Kind::Sorted) > 0
    }

    /// Gives the report its name.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.report.take().map_or(Ok(()), Report::finish)
    }
}

/// The findings of one shard: those of the whole shard, then those of its samples, in order.
fn collect<'a>(
    shards: &[Examined],
    shard: &'a Examined,
    notes: &[(Place, Note)],
    sorted: Option<String>,
) -> Vec<Finding<'a>> {
    let name = shard.name.as_str();
    let of_shard = |kind, offset, reason| Finding { kind, shard: name, offset, key: None, reason };
    let of_sample = |kind, number: usize, reason| {
        let (offset, key) = (shard.samples[number].offset, Some(shard.key(number)));
        (number, Finding { kind, shard: name, offset, key, reason })
    };
    let mut found: Vec<_> =
        shard.faults.iter().map(|fault| of_shard(Kind::Fault, fault.offset, fault.reason.clone())).collect();
    found.extend(sorted.map(|reason| of_shard(Kind::Sorted, 0, reason)));
    let unusable = shard.unusable.iter().map(|bad| of_sample(bad.kind, bad.number, bad.reason.clone()));
    let noted = notes.iter().map(|((_, number), note)| {
        let (kind, reason) = tell(shards, *note);
        of_sample(kind, *number as usize, reason)
    });
    let odd = shard.kept().filter(|(_, sample)| !sample.oddities.is_empty());
    let odd = odd.map(|(number, sample)| {
        let oddities: Vec<_> = sample.oddities.iter().map(|oddity| oddity.to_string()).collect();
        of_sample(Kind::Tolerated, number, format!("it has {}", oddities.join(" and ")))
    });
    let remarked = shard.findings.iter().filter_map(|remark| {
        let (kind, reason) = (Kind::of(remark.kind)?, remark.reason());
        let key = Some(remark.name.clone()).filter(|name| !name.is_empty());
        let of_member =
            |reason| (usize::MAX, Finding { kind, shard: name, offset: remark.offset, key, reason });
        Some(if let Some(number) = remark.sample {
            of_sample(kind, number, reason)
        } else {
            of_member(reason)
        })
    });
    let (of_members, remarked): (Vec<_>, Vec<_>) = remarked.partition(|(number, _)| *number == usize::MAX);
    found.extend(of_members.into_iter().map(|(_, finding)| finding));
    let mut of_samples: Vec<_> = unusable.chain(noted).chain(odd).chain(remarked).collect();
    of_samples.sort_by_key(|(number, finding)| (*number, finding.kind));
    of_samples.dedup_by_key(|(number, finding)| (*number, finding.kind));
    found.extend(of_samples.into_iter().map(|(_, finding)| finding));
    found
}

/// A note's kind, and the note in words.
fn tell(shards: &[Examined], note: Note) -> (Kind, String) {
    let place = |(shard, number): Place| {
        let (shard, number) = (&shards[shard as usize], number as usize);
        format!("`{}`, shard `{}` at byte {}", shard.key(number), shard.name, shard.samples[number].offset)
    };
    match note {
        Note::Identical(other) => (Kind::Identical, format!("the image of {}", place(other))),
        Note::Contradicting(other) => {
            (Kind::Contradicting, format!("the image of {}, which has another label", place(other)))
        }
        Note::Unlabelled => (Kind::Unlabelled, "it has no label".to_owned()),
        Note::Outlier { quantity, value, factor } => {
            (Kind::Outlier, format!("{value} {quantity}, {factor:.3} times the median"))
        }
    }
}
