//! The samples that were gathered so far.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{folders::Folders, listed::Detail};
use crate::{
    Error, Result, Shard, ShardName,
    label::Label,
    name::Role,
    neighbours::{Neighbours, Part},
    read,
    remark::{Finding, Findings, RemarkKind},
    span::{NO_LABEL, Span},
};

/// The samples of a shard that were gathered so far, with their findings.
pub(super) struct Gathered<'a> {
    name: &'a ShardName,
    pub(super) spans: Vec<Span>,
    /// The hash of each sample's key.
    pub(super) hashes: Vec<u128>,
    /// The kind of member that gives each sample's class.
    pub(super) label_sources: Vec<LabelSource>,
    /// The role of each sample's image.
    pub(super) roles: Vec<Role>,
    pub(super) folders: Folders,
    pub(super) findings: Findings,
    pub(super) digest: Xxh3,
    pub(super) detail: Option<Detail>,
}

/// The kind of member that gives a sample's class, in ascending order of rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LabelSource {
    None,
    Json,
    Class,
}

impl LabelSource {
    /// Finds the entry that gives the class of a part, and its kind.
    pub(super) fn of(neighbours: &Neighbours, part: &Part) -> Option<(usize, Self)> {
        let class = part.class.map(|entry| (entry, Self::Class));
        let json = || {
            part.json
                .filter(|&entry| neighbours.entries[entry].label.is_present())
                .map(|entry| (entry, Self::Json))
        };
        class.or_else(json)
    }
}

/// The label of a part.
pub(super) struct GivenLabel {
    pub(super) source: LabelSource,
    /// The class, or [`NO_LABEL`].
    pub(super) label: u32,
    /// The kind of an unusual label, with its details.
    pub(super) remark: Option<(RemarkKind, String)>,
}

impl GivenLabel {
    /// Reads the label of a part; an ambiguous one is not used.
    pub(super) fn of(neighbours: &Neighbours, part: &Part, is_ambiguous: bool) -> Self {
        if is_ambiguous {
            // The highest rank, so that no stray label takes its place.
            let remark = Some((RemarkKind::LabelAmbiguous, String::new()));
            return Self { source: LabelSource::Class, label: NO_LABEL, remark };
        }
        let Some((entry, source)) = LabelSource::of(neighbours, part) else {
            return Self { source: LabelSource::None, label: NO_LABEL, remark: None };
        };
        let label = &neighbours.entries[entry].label;
        let remark = if let Label::Bad(bad) = label { Some((bad.kind, bad.value.clone())) } else { None };
        Self { source, label: label.class(), remark }
    }
}

impl<'a> Gathered<'a> {
    /// Starts without samples. With `detail`, the details for an inspection are kept, and invalid classes are
    /// findings.
    pub(super) fn new(name: &'a ShardName, detail: Option<Detail>) -> Self {
        let findings = if detail.is_some() { Findings::listed() } else { Findings::default() };
        Self {
            name,
            spans: Vec::new(),
            hashes: Vec::new(),
            label_sources: Vec::new(),
            roles: Vec::new(),
            folders: Folders::default(),
            findings,
            digest: Xxh3::new(),
            detail,
        }
    }

    /// Adds a sample, whose first member's header is at byte `head`.
    pub(super) fn push(&mut self, key: &[u8], span: Span, head: u64, source: LabelSource, role: Role) {
        self.digest.update(key);
        self.digest.update(&Span { head, ..span }.to_bytes());
        self.spans.push(span);
        self.hashes.push(xxh3_128(key));
        self.label_sources.push(source);
        self.roles.push(role);
        self.folders.add(key);
        if let Some(detail) = &mut self.detail {
            detail.keys.push(key.to_vec());
            detail.roles.push(0);
        }
    }

    /// Notes a finding about a sample.
    ///
    /// # Errors
    /// The finding is an invalid class, and no details are kept for an inspection.
    pub(super) fn note_sample(&mut self, finding: Finding) -> Result<()> {
        if finding.kind == RemarkKind::BadClass && self.detail.is_none() {
            let Finding { name: key, detail: value, .. } = finding;
            return Err(Error::Label { shard: self.name.shared(), key, value });
        }
        self.findings.add(finding);
        Ok(())
    }

    pub(super) fn note(
        &mut self,
        kind: RemarkKind,
        offset: u64,
        name: String,
        detail: String,
        sample: Option<usize>,
    ) {
        self.findings.add(Finding { kind, offset, name, detail, sample });
    }

    pub(super) fn note_second_image(&mut self, offset: u64, name: String, key: &str) {
        self.note(RemarkKind::SecondImage, offset, name, format!("sample `{key}` has another image"), None);
    }

    /// Returns the hashes of all keys, sorted, each with the number of its sample.
    pub(super) fn by_key(&self) -> Vec<(u128, usize)> {
        let mut order: Vec<(u128, usize)> = self.hashes.iter().copied().zip(0..).collect();
        order.sort_unstable();
        order
    }

    /// Notes the samples whose key an earlier one has.
    pub(super) fn note_repeats(&mut self, shard: &Shard) {
        let order = self.by_key();
        let groups = order.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
        let mut repeated: Vec<usize> =
            groups.flat_map(|group| &group[1..]).map(|(_, number)| *number).collect();
        repeated.sort_unstable();
        for number in repeated {
            if !self.findings.count(RemarkKind::Repeated) {
                let span = self.spans[number];
                let key = read::key(shard, span.head).unwrap_or_default();
                self.note(RemarkKind::Repeated, span.image, key, String::new(), Some(number));
            }
        }
    }
}

pub(super) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
