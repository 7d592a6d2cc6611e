//! What is unusual in a shard: read in a way of its own, or not read.

use std::sync::Arc;

/// Something unusual in the members of a set's shards, told once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What it is.
    pub kind: RemarkKind,
    /// How often.
    pub count: u64,
    /// The shard that has the first.
    pub shard: Arc<str>,
    /// Byte of that shard at which the first lies.
    pub offset: u64,
    /// The first sample's key, or the first member's name.
    pub name: String,
    /// More about the first; empty where there is no more.
    pub detail: String,
}

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RemarkKind {
    /// A `cls` label is no class; sets refuse it.
    BadClass,
    /// A label in `json` is text that is no class.
    LabelText,
    /// A label in `json` is a list or an object.
    LabelStructure,
    /// A label in `json` is a number that is no integer.
    LabelFraction,
    /// A label in `json` is `true` or `false`.
    LabelBool,
    /// A label in `json` is `null`.
    LabelNull,
    /// A label in `json` is an integer that is no class.
    LabelRange,
    /// A `json` member cannot be read.
    LabelJson,
    /// Several samples in a row have the same key, and which label is whose cannot be told.
    LabelAmbiguous,
    /// A label belongs to no image of the shard.
    LabelStray,
    /// A label lies apart from its image.
    LabelApart,
    /// An earlier sample of the shard has the same key.
    Repeated,
    /// An image has dots in its name.
    Dotted,
    /// A sample has several images.
    SecondImage,
    /// A link leads to no file of the shard.
    Link,
    /// An archive follows the end of another.
    Concatenated,
    /// A member is neither image nor label.
    Ignored,
}

impl RemarkKind {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::BadClass,
        Self::LabelText,
        Self::LabelStructure,
        Self::LabelFraction,
        Self::LabelBool,
        Self::LabelNull,
        Self::LabelRange,
        Self::LabelJson,
        Self::LabelAmbiguous,
        Self::LabelStray,
        Self::LabelApart,
        Self::Repeated,
        Self::Dotted,
        Self::SecondImage,
        Self::Link,
        Self::Concatenated,
        Self::Ignored,
    ];

    /// What it is, of so many, and what is made of them.
    pub fn words(self) -> &'static str {
        match self {
            Self::BadClass => "labels in `cls` are no integer from 0 to 999999, nor -1",
            Self::LabelText => {
                "labels in `json` are text that is no class number: these samples count as unlabelled"
            }
            Self::LabelStructure => {
                "labels in `json` are a list or an object: these samples count as unlabelled"
            }
            Self::LabelFraction => {
                "labels in `json` are numbers that are no integers: these samples count as unlabelled"
            }
            Self::LabelBool => "labels in `json` are `true` or `false`: these samples count as unlabelled",
            Self::LabelNull => "labels in `json` are `null`: these samples count as unlabelled",
            Self::LabelRange => {
                "labels in `json` are not from 0 to 999999, nor -1: these samples count as unlabelled"
            }
            Self::LabelJson => "`json` members cannot be read: these samples count as unlabelled",
            Self::LabelAmbiguous => {
                "samples share their key with a neighbour, and not each has an image and a label: they count as unlabelled"
            }
            Self::LabelStray => "labels belong to no single image of their shard and are not used",
            Self::LabelApart => {
                "labels lie apart from their images and are joined with them; other readers do not join them: write such shards with `tar --sort=name`"
            }
            Self::Repeated => "samples have the key of an earlier sample of their shard; each is used",
            Self::Dotted => {
                "images have a dot within their name: each is a sample of its own, with the name up to the last dot as key"
            }
            Self::SecondImage => {
                "samples have several images, of which one is used and the others, such as masks, are not"
            }
            Self::Link => {
                "links to images or labels lead to no file of their shard and are not read: `tar --dereference` puts the files themselves into a shard"
            }
            Self::Concatenated => {
                "archives follow the end of another one in the same file and are read; other readers need `--ignore-zeros` or stop there"
            }
            Self::Ignored => "members are neither image nor label and are not read",
        }
    }

    /// Whether it concerns labels that are not used.
    pub fn is_unread_label(self) -> bool {
        (Self::LabelText..=Self::LabelAmbiguous).contains(&self)
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// Something unusual in one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: RemarkKind,
    /// Byte of the shard at which it lies.
    pub offset: u64,
    /// The sample's key, or the member's name.
    pub name: String,
    /// More about it; empty where there is no more.
    pub detail: String,
    /// The number of the sample that it is about, in its shard.
    pub sample: Option<usize>,
}

impl Finding {
    /// What is said of the sample or the member, as a clause.
    pub fn reason(&self) -> String {
        let detail = &self.detail;
        match self.kind {
            RemarkKind::BadClass => {
                format!("label `{detail}` in `cls` is not an integer from 0 to 999999, nor -1")
            }
            RemarkKind::LabelText => format!("label `{detail}` in `json` is text that is no class number"),
            RemarkKind::LabelStructure => format!("label `{detail}` in `json` is a list or an object"),
            RemarkKind::LabelFraction => format!("label `{detail}` in `json` is no integer"),
            RemarkKind::LabelBool | RemarkKind::LabelNull => format!("label `{detail}` in `json` is no number"),
            RemarkKind::LabelRange => format!("label `{detail}` in `json` is not from 0 to 999999, nor -1"),
            RemarkKind::LabelJson => format!("no label can be read from its `json`: {detail}"),
            RemarkKind::LabelAmbiguous => {
                "a neighbour has the same key, and not each has an image and a label: whose the label is cannot be told".into()
            }
            RemarkKind::LabelStray => "its shard has no image, or not a single one without a label, of this key".into(),
            RemarkKind::LabelApart => "its label lies apart from its image".into(),
            RemarkKind::Repeated => "an earlier sample of the shard has the same key".into(),
            RemarkKind::Dotted => "its name has a dot before the extension, and its key ends at the last".into(),
            RemarkKind::SecondImage => format!("it has several images: {detail}"),
            RemarkKind::Link => "it is a link that leads to no file of the shard".into(),
            RemarkKind::Concatenated => "another archive begins behind the end of one".into(),
            RemarkKind::Ignored => "it is neither image nor label".into(),
        }
    }
}

/// How often a kind was found in a shard, and the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) kind: RemarkKind,
    pub(crate) count: u64,
    pub(crate) offset: u64,
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// What was found in a shard: counted, and where that is wanted listed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    tallies: Vec<Tally>,
    list: Option<Vec<Finding>>,
}

impl Findings {
    /// Keeps every finding but those of members that are ignored.
    pub(crate) fn listed() -> Self {
        Self { tallies: Vec::new(), list: Some(Vec::new()) }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        let known = self.tallies.iter_mut().find(|tally| tally.kind == finding.kind);
        if let Some(tally) = known {
            tally.count += 1;
        } else {
            let Finding { kind, offset, ref name, ref detail, .. } = finding;
            self.tallies.push(Tally { kind, count: 1, offset, name: name.clone(), detail: detail.clone() });
        }
        if let Some(list) = self.list.as_mut().filter(|_| finding.kind != RemarkKind::Ignored) {
            list.push(finding);
        }
    }

    /// Counts one that was found before, so that its name need not be made.
    pub(crate) fn count(&mut self, kind: RemarkKind) -> bool {
        let known = self.tallies.iter_mut().find(|tally| tally.kind == kind);
        let is_enough = known.is_some() && (self.list.is_none() || kind == RemarkKind::Ignored);
        if let Some(tally) = known.filter(|_| is_enough) {
            tally.count += 1;
        }
        is_enough
    }

    /// Tallies in the order of their kinds, and the list.
    pub(crate) fn finish(mut self) -> (Vec<Tally>, Vec<Finding>) {
        self.tallies.sort_by_key(|tally| tally.kind);
        (self.tallies, self.list.unwrap_or_default())
    }
}

/// Adds the tallies of a shard to those of the shards before.
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
