//! Kinds of findings, and what they are called.

use serde::Serialize;
use shards::RemarkKind;

/// A kind of finding. The first seven are of samples, shards or labels that are lost on training, the others are hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Of a shard: it is cut, damaged, or nothing of it can be read.
    Fault,
    Truncated,
    Undecodable,
    BadLabel,
    /// It has a label that cannot be used.
    UnreadLabel,
    /// Of a label: no image of the shard is its.
    StrayLabel,
    /// Of a member: a link that leads to no file of the shard.
    Link,
    Duplicate,
    Contradicting,
    Identical,
    Unlabelled,
    ApartLabel,
    DottedName,
    SecondImage,
    MaskFolder,
    /// Of a shard: an archive begins behind the end of another.
    Concatenated,
    Outlier,
    /// Of an image that is good.
    Tolerated,
    /// Of a shard: its samples are sorted by class.
    Sorted,
}

impl Kind {
    /// All of them, each with its name, as column of the table, and in words.
    pub(super) const ALL: [(Self, &str, &str, &str); 19] = [
        (Self::Fault, "fault", "fault", "shards that are cut, damaged or unreadable"),
        (Self::Truncated, "truncated", "trunc", "samples that are cut or cannot be read"),
        (Self::Undecodable, "undecodable", "undec", "samples whose image cannot be decoded"),
        (
            Self::BadLabel,
            "bad_label",
            "label",
            "samples whose label is not a class number; training ends on the first",
        ),
        (
            Self::UnreadLabel,
            "unread_label",
            "unread",
            "samples that count as unlabelled, since their label cannot be used",
        ),
        (
            Self::StrayLabel,
            "stray_label",
            "stray",
            "labels that are not used: no image, or more than one, has their key",
        ),
        (
            Self::Link,
            "link",
            "link",
            "links that lead out of their shard: `tar --dereference` puts the files there",
        ),
        (Self::Duplicate, "duplicate", "dup", "samples whose key an earlier one of their shard has"),
        (Self::Contradicting, "contradicting", "contra", "identical images with different labels"),
        (Self::Identical, "identical", "ident", "identical images"),
        (Self::Unlabelled, "unlabelled", "unlab", "samples without a label, where others have one"),
        (
            Self::ApartLabel,
            "apart_label",
            "apart",
            "labels that lie apart from their images: `tar --sort=name` and --fix put them together",
        ),
        (
            Self::DottedName,
            "dotted_name",
            "dotted",
            "images with a dot within their name, each taken for a sample of its own",
        ),
        (
            Self::SecondImage,
            "second_image",
            "second",
            "images, such as masks, that are not used, since their sample has another one",
        ),
        (
            Self::MaskFolder,
            "mask_folder",
            "masks",
            "images in a folder that is called as masks are, beside their images; they are used as images: if they are masks, pack the shards without that folder (`tar --exclude=FOLDER`, or `amdim-stream pack`)",
        ),
        (
            Self::Concatenated,
            "concatenated",
            "concat",
            "archives behind the end of another in the same file: --fix makes them one",
        ),
        (Self::Outlier, "outlier", "outl", "images far larger or smaller than the others"),
        (Self::Tolerated, "tolerated", "toler", "images that are odd, but good"),
        (
            Self::Sorted,
            "sorted",
            "sorted",
            "shards whose samples are sorted by class: train with --shuffle global, or pack anew, shuffled",
        ),
    ];

    /// Whether a sample, a shard or a label is lost by it.
    pub(super) fn is_loss(self) -> bool {
        self <= Self::Link
    }

    /// Whether it is of samples or shards that cleaned shards are without.
    pub(super) fn is_removable(self) -> bool {
        self <= Self::BadLabel
    }

    /// What is told of members that are unusual; none where a sample says it otherwise.
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
