//! Kinds of findings.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use shards::RemarkKind;

/// A kind of finding. Findings of the kinds up to [`Link`](Self::Link) mean that training loses a sample, a
/// shard or a label; the others are informative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A shard is cut, damaged, or unreadable.
    Fault,
    /// A sample is cut, or its bytes cannot be read.
    Truncated,
    /// The image of a sample cannot be decoded.
    Undecodable,
    /// The label of a sample is not a class number: training ends at the first.
    BadLabel,
    /// A sample counts as unlabelled, since its label cannot be used.
    UnreadLabel,
    /// A label is not used, since no image of the shard, or more than one, has its key.
    StrayLabel,
    /// A link does not lead to a file of its shard.
    Link,
    /// A sample has the key of an earlier one in its shard.
    Duplicate,
    /// A sample has the image of an earlier one, and another label.
    Contradicting,
    /// A sample has the image of an earlier one.
    Identical,
    /// A sample has no label, while others of the set have one.
    Unlabelled,
    /// A label is stored apart from its image in the shard.
    ApartLabel,
    /// An image has a dot within its name, which makes it a sample of its own.
    DottedName,
    /// An image is not used, since its sample has another one.
    SecondImage,
    /// An image lies in a folder named like one of masks, beside a folder of images; it is used.
    MaskFolder,
    /// An archive follows the end of another one in the same shard.
    Concatenated,
    /// An image has far more or far fewer bytes or pixels than most.
    Outlier,
    /// An image is good, but has an oddity.
    Tolerated,
    /// A shard's samples are sorted by class.
    Sorted,
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| de::Error::custom(format!("there is no kind `{name}`")))
    }
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 19] = [
        Self::Fault,
        Self::Truncated,
        Self::Undecodable,
        Self::BadLabel,
        Self::UnreadLabel,
        Self::StrayLabel,
        Self::Link,
        Self::Duplicate,
        Self::Contradicting,
        Self::Identical,
        Self::Unlabelled,
        Self::ApartLabel,
        Self::DottedName,
        Self::SecondImage,
        Self::MaskFolder,
        Self::Concatenated,
        Self::Outlier,
        Self::Tolerated,
        Self::Sorted,
    ];

    /// Returns the name of the kind in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Truncated => "truncated",
            Self::Undecodable => "undecodable",
            Self::BadLabel => "bad_label",
            Self::UnreadLabel => "unread_label",
            Self::StrayLabel => "stray_label",
            Self::Link => "link",
            Self::Duplicate => "duplicate",
            Self::Contradicting => "contradicting",
            Self::Identical => "identical",
            Self::Unlabelled => "unlabelled",
            Self::ApartLabel => "apart_label",
            Self::DottedName => "dotted_name",
            Self::SecondImage => "second_image",
            Self::MaskFolder => "mask_folder",
            Self::Concatenated => "concatenated",
            Self::Outlier => "outlier",
            Self::Tolerated => "tolerated",
            Self::Sorted => "sorted",
        }
    }

    /// Returns whether training loses a sample, a shard or a label.
    pub fn is_loss(self) -> bool {
        self <= Self::Link
    }

    /// Returns whether [`Survey::clean`](super::Survey::clean) leaves out the samples or shards that
    /// have it.
    pub fn is_removable(self) -> bool {
        self <= Self::BadLabel
    }

    /// Returns the kind of a remark on a member; `None` if another kind of finding already reports it.
    pub(super) fn of(kind: RemarkKind) -> Option<Self> {
        match kind {
            RemarkKind::LabelStray => Some(Self::StrayLabel),
            RemarkKind::LabelApart => Some(Self::ApartLabel),
            RemarkKind::Repeated => Some(Self::Duplicate),
            RemarkKind::Dotted => Some(Self::DottedName),
            RemarkKind::SecondImage => Some(Self::SecondImage),
            RemarkKind::MaskFolder => Some(Self::MaskFolder),
            RemarkKind::Link => Some(Self::Link),
            RemarkKind::Concatenated => Some(Self::Concatenated),
            kind if kind.is_unread_label() => Some(Self::UnreadLabel),
            _ => None,
        }
    }
}
