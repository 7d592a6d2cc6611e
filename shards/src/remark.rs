//! Unusual forms in shards, which are read in a special way or not read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One kind of unusual form in the members of a set's shards, with its first occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The kind.
    pub kind: RemarkKind,
    /// The number of occurrences.
    pub count: u64,
    /// The shard of the first occurrence.
    pub shard: Arc<str>,
    /// The byte of that shard at which the first occurrence begins.
    pub offset: u64,
    /// The key of the first sample, or the name of the first member.
    pub name: String,
    /// Details of the first occurrence; may be empty.
    pub detail: String,
}

/// A kind of unusual form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RemarkKind {
    /// A `cls` label is not a class; sets refuse it.
    BadClass,
    /// A label in `json` is text that is not a class.
    LabelText,
    /// A label in `json` is a list or an object.
    LabelStructure,
    /// A label in `json` is a number that is not an integer.
    LabelFraction,
    /// A label in `json` is `true` or `false`.
    LabelBool,
    /// A label in `json` is an integer outside of the range of classes.
    LabelRange,
    /// A `json` member cannot be read.
    LabelJson,
    /// Several samples in a row have the same key, and it is unclear which label belongs to which.
    LabelAmbiguous,
    /// A label belongs to no image of the shard.
    LabelStray,
    /// A label is stored apart from its image.
    LabelApart,
    /// An earlier sample of the shard has the same key.
    Repeated,
    /// An image has dots in its base name.
    Dotted,
    /// An image is not used, since its sample has another one.
    SecondImage,
    /// An image lies in a folder of masks beside one of images, and is used as an image.
    MaskFolder,
    /// A link does not lead to a file of the shard.
    Link,
    /// An archive follows the end of another one.
    Concatenated,
    /// A member is neither image nor label.
    Ignored,
}

impl RemarkKind {
    /// All kinds, in order.
    pub const ALL: [Self; 17] = [
        Self::BadClass,
        Self::LabelText,
        Self::LabelStructure,
        Self::LabelFraction,
        Self::LabelBool,
        Self::LabelRange,
        Self::LabelJson,
        Self::LabelAmbiguous,
        Self::LabelStray,
        Self::LabelApart,
        Self::Repeated,
        Self::Dotted,
        Self::SecondImage,
        Self::MaskFolder,
        Self::Link,
        Self::Concatenated,
        Self::Ignored,
    ];

    /// Returns the kind and its consequence in words that follow `count`.
    pub fn words(self, count: u64) -> &'static str {
        let (one, many) = self.forms();
        if count == 1 { one } else { many }
    }

    /// Returns the words for one occurrence and for several.
    fn forms(self) -> (&'static str, &'static str) {
        match self {
            Self::BadClass => (
                "label in `cls` is not an integer from 0 to 999999, nor -1",
                "labels in `cls` are not integers from 0 to 999999, nor -1",
            ),
            Self::LabelText => (
                "label in `json` is text, not a class number: this sample counts as unlabelled",
                "labels in `json` are text, not class numbers: these samples count as unlabelled",
            ),
            Self::LabelStructure => (
                "label in `json` is a list or an object: this sample counts as unlabelled",
                "labels in `json` are a list or an object: these samples count as unlabelled",
            ),
            Self::LabelFraction => (
                "label in `json` is not an integer: this sample counts as unlabelled",
                "labels in `json` are not integers: these samples count as unlabelled",
            ),
            Self::LabelBool => (
                "label in `json` is `true` or `false`: this sample counts as unlabelled",
                "labels in `json` are `true` or `false`: these samples count as unlabelled",
            ),
            Self::LabelRange => (
                "label in `json` is not from 0 to 999999, nor -1: this sample counts as unlabelled",
                "labels in `json` are not from 0 to 999999, nor -1: these samples count as unlabelled",
            ),
            Self::LabelJson => (
                "`json` member cannot be read: this sample counts as unlabelled",
                "`json` members cannot be read: these samples count as unlabelled",
            ),
            Self::LabelAmbiguous => (
                "sample shares its key with a neighbour, and not each of them has an image and a label: it counts as unlabelled",
                "samples share their key with a neighbour, and not each of them has an image and a label: they count as unlabelled",
            ),
            kind => kind.forms_of_members(),
        }
    }

    fn forms_of_members(self) -> (&'static str, &'static str) {
        match self {
            Self::LabelStray => (
                "label is not used: no image of its shard, or more than one, has its key",
                "labels are not used: no image of their shard, or more than one, has their key",
            ),
            Self::LabelApart => (
                "label is stored apart from its image and is joined with it; other readers do not join them",
                "labels are stored apart from their images and are joined with them; other readers do not join them",
            ),
            Self::Repeated => (
                "sample has the key of an earlier sample of its shard; each is used",
                "samples have the key of an earlier sample of their shard; each is used",
            ),
            Self::Dotted => (
                "image has a dot within its name: it is a sample of its own, with the name up to the last dot as key",
                "images have a dot within their name: each is a sample of its own, with the name up to the last dot as key",
            ),
            Self::SecondImage => (
                "image, such as a mask, is not used, since its sample has another image",
                "images, such as masks, are not used, since their sample has another image",
            ),
            Self::MaskFolder => (
                "image lies in a folder named like one of masks, beside a folder of images, and is used as an image",
                "images lie in a folder named like one of masks, beside a folder of images, and are used as images",
            ),
            Self::Link => (
                "link to an image or a label leads to no file of its shard and is not read",
                "links to images or labels lead to no file of their shard and are not read",
            ),
            Self::Concatenated => (
                "archive follows the end of another one in the same file and is read; other readers need `--ignore-zeros` or stop there",
                "archives follow the end of another one in the same file and are read; other readers need `--ignore-zeros` or stop there",
            ),
            _ => (
                "member is neither image nor label and is not read",
                "members are neither image nor label and are not read",
            ),
        }
    }

    /// Returns the cure, if one is known.
    pub fn hint(self) -> Option<RemarkHint> {
        match self {
            Self::LabelApart => Some(RemarkHint::SortByName),
            Self::MaskFolder => Some(RemarkHint::LeaveFolderOut),
            Self::Link => Some(RemarkHint::StoreTargets),
            _ => None,
        }
    }

    /// Returns whether the kind concerns labels that are not used.
    pub fn is_unread_label(self) -> bool {
        (Self::LabelText..=Self::LabelAmbiguous).contains(&self)
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// The cure of an unusual form, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemarkHint {
    /// Write the members in the order of their names.
    SortByName,
    /// Leave the folder out of the shards.
    LeaveFolderOut,
    /// Store files instead of links to them.
    StoreTargets,
}

/// One unusual form in one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The kind.
    pub kind: RemarkKind,
    /// The byte of the shard at which it begins.
    pub offset: u64,
    /// The sample's key, or the member's name.
    pub name: String,
    /// Details; may be empty.
    pub detail: String,
    /// The number in its shard of the sample that it concerns.
    pub sample: Option<usize>,
}

impl Finding {
    /// Returns the finding as a clause about the sample or member.
    pub fn reason(&self) -> String {
        let detail = &self.detail;
        match self.kind {
            RemarkKind::BadClass => {
                format!("label `{detail}` in `cls` is not an integer from 0 to 999999, nor -1")
            }
            RemarkKind::LabelText => format!("label `{detail}` in `json` is text, not a class number"),
            RemarkKind::LabelStructure => format!("label `{detail}` in `json` is a list or an object"),
            RemarkKind::LabelFraction => format!("label `{detail}` in `json` is not an integer"),
            RemarkKind::LabelBool => format!("label `{detail}` in `json` is not a number"),
            RemarkKind::LabelRange => format!("label `{detail}` in `json` is not from 0 to 999999, nor -1"),
            RemarkKind::LabelJson => format!("no label can be read from its `json`: {detail}"),
            RemarkKind::LabelAmbiguous => {
                "a neighbour has the same key, and not each of them has an image and a label, so that the label may belong to either".into()
            }
            RemarkKind::LabelStray => "no image of its shard has this key, or several have, or the image already has a label".into(),
            RemarkKind::LabelApart => "its label is stored apart from its image".into(),
            RemarkKind::Repeated => "an earlier sample of the shard has the same key".into(),
            RemarkKind::Dotted => "its name has a dot before the extension, and its key ends at the last dot".into(),
            RemarkKind::SecondImage => format!("it is not used: {detail}"),
            RemarkKind::MaskFolder => format!("it lies {detail}, which is named like a folder of masks, beside a folder of images; it is used as an image"),
            RemarkKind::Link => "it is a link that leads to no file of the shard".into(),
            RemarkKind::Concatenated => "another archive follows the end of the previous one".into(),
            RemarkKind::Ignored => "it is neither image nor label".into(),
        }
    }
}

/// The number of occurrences of a kind in a shard, and the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) kind: RemarkKind,
    pub(crate) count: u64,
    pub(crate) offset: u64,
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// The findings of a shard: counted, and on request listed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    tallies: Vec<Tally>,
    list: Option<Vec<Finding>>,
}

impl Findings {
    /// Makes a collection that also lists every finding, except ignored members.
    pub(crate) fn listed() -> Self {
        Self { tallies: Vec::new(), list: Some(Vec::new()) }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        let known = self.tallies.iter_mut().find(|tally| tally.kind == finding.kind);
        if let Some(tally) = known {
            tally.count += 1;
            if finding.offset < tally.offset {
                tally.offset = finding.offset;
                tally.name.clone_from(&finding.name);
                tally.detail.clone_from(&finding.detail);
            }
        } else {
            let Finding { kind, offset, ref name, ref detail, .. } = finding;
            self.tallies.push(Tally { kind, count: 1, offset, name: name.clone(), detail: detail.clone() });
        }
        if let Some(list) = self.list.as_mut().filter(|_| finding.kind != RemarkKind::Ignored) {
            list.push(finding);
        }
    }

    /// Counts a kind that is already known, so that its name need not be built. Returns whether it was
    /// counted.
    pub(crate) fn count(&mut self, kind: RemarkKind) -> bool {
        let known = self.tallies.iter_mut().find(|tally| tally.kind == kind);
        let is_enough = known.is_some() && (self.list.is_none() || kind == RemarkKind::Ignored);
        if let Some(tally) = known.filter(|_| is_enough) {
            tally.count += 1;
        }
        is_enough
    }

    /// Renumbers the samples of the listed findings.
    pub(crate) fn renumber(&mut self, number: impl Fn(usize) -> usize) {
        let samples = self.list.iter_mut().flatten().filter_map(|finding| finding.sample.as_mut());
        samples.for_each(|sample| *sample = number(*sample));
    }

    /// Returns the tallies in the order of their kinds, and the list.
    pub(crate) fn finish(mut self) -> (Vec<Tally>, Vec<Finding>) {
        self.tallies.sort_by_key(|tally| tally.kind);
        (self.tallies, self.list.unwrap_or_default())
    }
}

/// Adds the tallies of a shard to those of earlier shards.
pub(crate) fn add_up(remarks: &mut Vec<Remark>, shard: &Arc<str>, tallies: Vec<Tally>) {
    for Tally { kind, count, offset, name, detail } in tallies {
        match remarks.binary_search_by_key(&kind, |remark| remark.kind) {
            Ok(at) => remarks[at].count += count,
            Err(at) => {
                remarks.insert(at, Remark { kind, count, shard: Arc::clone(shard), offset, name, detail });
            }
        }
    }
}
