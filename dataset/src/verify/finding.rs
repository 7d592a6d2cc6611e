//! A finding, and the collection of a shard's findings.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{
    compare::{Note, Notes, Place, Sorted},
    examine::Examined,
    kind::Kind,
};

/// Something wrong or unusual about a shard, a sample or a member.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The kind.
    pub kind: Kind,
    /// The name of the shard.
    pub shard: Arc<str>,
    /// The byte of the shard at which the sample or member begins.
    pub offset: u64,
    /// The key of the sample or the name of the member; `None` if the finding concerns the shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A description of it.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, offset, key, reason, .. } = self;
        if let Some(key) = key {
            write!(f, "`{key}`, ")?;
        }
        write!(f, "shard `{shard}` at byte {offset}: {reason}")
    }
}

/// Collects the findings of one shard: those of the whole shard, then those of members without a sample, then
/// those of its samples, in order.
pub(super) fn collect(shards: &[Examined], number: usize, notes: &Notes) -> Vec<Finding> {
    let shard = &shards[number];
    let mut found = of_shard(shard, notes.sorted[number]);
    found.extend(of_members(shard));
    let mut of_samples = of_samples(shard);
    of_samples.extend(notes.of_shard(number).iter().map(|((_, number), note)| {
        let (kind, reason) = describe(shards, *note);
        of_sample(shard, *number as usize, kind, reason)
    }));
    of_samples.sort_by_key(|(number, finding)| (*number, finding.kind));
    of_samples.dedup_by_key(|(number, finding)| (*number, finding.kind));
    found.extend(of_samples.into_iter().map(|(_, finding)| finding));
    found
}

fn of_shard(shard: &Examined, sorted: Option<Sorted>) -> Vec<Finding> {
    let finding =
        |kind, offset, reason| Finding { kind, shard: shard.name.shared(), offset, key: None, reason };
    let faults = shard.faults.iter().map(|fault| finding(Kind::Fault, fault.offset, fault.reason.clone()));
    faults.chain(sorted.map(|sorted| finding(Kind::Sorted, 0, sorted.to_string()))).collect()
}

/// Returns the remarks on members that belong to no sample.
fn of_members(shard: &Examined) -> impl Iterator<Item = Finding> {
    let remarks = shard.findings.iter().filter(|remark| remark.sample.is_none());
    remarks.filter_map(|remark| {
        let key = Some(remark.name.clone()).filter(|name| !name.is_empty());
        let (kind, offset, reason) = (Kind::of(remark.kind)?, remark.offset, remark.reason());
        Some(Finding { kind, shard: shard.name.shared(), offset, key, reason })
    })
}

/// Returns the findings on single samples, with the numbers of the samples.
fn of_samples(shard: &Examined) -> Vec<(usize, Finding)> {
    let bad = shard.bad.iter().map(|bad| of_sample(shard, bad.number, bad.kind, bad.reason.clone()));
    let odd = shard.kept().filter(|(_, sample)| !sample.oddities.is_empty()).map(|(number, sample)| {
        let oddities: Vec<_> = sample.oddities.iter().map(|oddity| oddity.to_string()).collect();
        of_sample(shard, number, Kind::Tolerated, format!("it has {}", oddities.join(" and ")))
    });
    let remarked = shard
        .findings
        .iter()
        .filter_map(|remark| Some(of_sample(shard, remark.sample?, Kind::of(remark.kind)?, remark.reason())));
    bad.chain(odd).chain(remarked).collect()
}

fn of_sample(shard: &Examined, number: usize, kind: Kind, reason: String) -> (usize, Finding) {
    let (offset, key) = (shard.samples[number].offset, Some(shard.key(number)));
    (number, Finding { kind, shard: shard.name.shared(), offset, key, reason })
}

/// Returns the kind of a note, and the note in words.
fn describe(shards: &[Examined], note: Note) -> (Kind, String) {
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
