//! Labels that are stored apart from their images, for example behind all of them.

use xxhash_rust::xxh3::xxh3_128;

use super::gathered::{Gathered, LabelSource, text};
use crate::{
    Result,
    label::Label,
    neighbours::{Neighbours, Part},
    remark::{Finding, RemarkKind},
};

/// A label without an image of its key among its neighbours.
#[derive(Debug)]
pub(super) struct StrayLabel {
    /// The hash of the key.
    hash: u128,
    head: u64,
    key: String,
    label: Label,
    source: LabelSource,
    /// The hash of an image's key beside which this label means something else, such as `a.fine.cls` beside
    /// an image `a`.
    base: Option<u128>,
    member: usize,
}

impl StrayLabel {
    /// Returns the labels of a part without an image.
    pub(super) fn of(neighbours: &Neighbours, part: &Part) -> impl Iterator<Item = Self> {
        let entries = [(part.class, LabelSource::Class), (part.json, LabelSource::Json)];
        let stray = |(entry, source): (Option<usize>, _)| {
            let number = entry?;
            let entry = &neighbours.entries[number];
            let (name, key) = (neighbours.name(entry), neighbours.stem(number));
            entry.label.is_present().then(|| Self {
                hash: xxh3_128(key),
                head: entry.head,
                key: text(key),
                label: entry.label.clone(),
                source,
                base: (!part.is_plain && !part.is_numbered).then(|| xxh3_128(name.short())),
                member: entry.member,
            })
        };
        entries.into_iter().filter_map(stray).collect::<Vec<_>>().into_iter()
    }
}

impl Gathered<'_> {
    /// Joins labels with the images of their keys, if there is exactly one image, and one label of the kind.
    pub(super) fn join_strays(&mut self, mut strays: Vec<StrayLabel>) -> Result<()> {
        if strays.is_empty() {
            return Ok(());
        }
        let order = self.by_key();
        strays.sort_by_key(|stray| (stray.hash, stray.source));
        let mut joined: Vec<(Option<usize>, StrayLabel)> = Vec::with_capacity(strays.len());
        let repeats: Vec<bool> = (0..strays.len())
            .map(|at| {
                let is_same = |other: Option<&StrayLabel>| {
                    other.is_some_and(|other| {
                        (other.hash, other.source) == (strays[at].hash, strays[at].source)
                    })
                };
                is_same(strays.get(at + 1)) || at > 0 && is_same(strays.get(at - 1))
            })
            .collect();
        for (stray, is_repeated) in strays.into_iter().zip(repeats) {
            let own = of_key(&order, stray.hash);
            if own.is_empty() && stray.base.is_some_and(|base| !of_key(&order, base).is_empty()) {
                continue;
            }
            joined.push((own.first().map(|own| own.1).filter(|_| own.len() == 1 && !is_repeated), stray));
        }
        joined.sort_by_key(|(_, stray)| stray.head);
        joined.into_iter().try_for_each(|(sample, stray)| self.join(sample, stray))
    }

    /// Gives a label to a sample, or notes that no sample takes it.
    fn join(&mut self, sample: Option<usize>, stray: StrayLabel) -> Result<()> {
        let StrayLabel { key, head, label, source, .. } = stray;
        let is_open = |sample: usize| self.label_sources[sample] < source;
        match sample {
            Some(sample) if is_open(sample) => {
                self.label_sources[sample] = source;
                self.spans[sample].label = label.class();
                self.digest.update(&(sample as u64).to_le_bytes());
                self.digest.update(&label.class().to_le_bytes());
                self.belongs(stray.member, sample);
                if let Label::Bad(bad) = label {
                    let (kind, detail) = (bad.kind, bad.value);
                    return self.note_sample(Finding {
                        kind,
                        offset: head,
                        name: key,
                        detail,
                        sample: Some(sample),
                    });
                }
                self.note(RemarkKind::LabelApart, head, key, String::new(), Some(sample));
            }
            // A class outranks the label in `json`, wherever they are stored.
            Some(sample)
                if source == LabelSource::Json && self.label_sources[sample] == LabelSource::Class =>
            {
                self.belongs(stray.member, sample);
            }
            _ => self.note(RemarkKind::LabelStray, head, key, String::new(), None),
        }
        Ok(())
    }

    fn belongs(&mut self, member: usize, sample: usize) {
        if let Some(detail) = &mut self.detail {
            detail.members[member].sample = Some(sample);
        }
    }
}

/// Finds the samples whose key has this hash.
fn of_key(order: &[(u128, usize)], hash: u128) -> &[(u128, usize)] {
    let start = order.partition_point(|(other, _)| *other < hash);
    let rest = &order[start..];
    &rest[..rest.partition_point(|(other, _)| *other == hash)]
}
