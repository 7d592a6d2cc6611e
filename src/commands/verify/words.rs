//! Findings in words.

use dataset::verify::{Counts, Findings, Kind};
use shards::RemarkKind;

/// Returns the title of a kind's column in the table.
pub(super) fn column(kind: Kind) -> &'static str {
    match kind {
        Kind::Fault => "fault",
        Kind::Truncated => "trunc",
        Kind::Undecodable => "undec",
        Kind::BadLabel => "label",
        Kind::UnreadLabel => "unread",
        Kind::StrayLabel => "stray",
        Kind::Link => "link",
        Kind::Duplicate => "dup",
        Kind::Contradicting => "contra",
        Kind::Identical => "ident",
        Kind::Unlabelled => "unlab",
        Kind::ApartLabel => "apart",
        Kind::DottedName => "dotted",
        Kind::SecondImage => "second",
        Kind::MaskFolder => "masks",
        Kind::Concatenated => "concat",
        Kind::Outlier => "outl",
        Kind::Tolerated => "toler",
        Kind::Sorted => "sorted",
    }
}

/// Returns the text above the findings of a kind.
fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Fault => "shards that are cut, damaged or unreadable",
        Kind::Truncated => "samples that are cut or cannot be read",
        Kind::Undecodable => "samples whose image cannot be decoded",
        Kind::BadLabel => "samples whose label is not a class number; training fails at the first one",
        Kind::UnreadLabel => "samples that count as unlabelled, since their label cannot be used",
        Kind::StrayLabel => "labels that are not used: no image, or more than one, has their key",
        Kind::Link => {
            "links to files outside of their shard: `tar --dereference` stores the files instead of links"
        }
        Kind::Duplicate => "samples with the key of an earlier sample in their shard",
        Kind::Contradicting => "identical images with different labels",
        Kind::Identical => "identical images",
        Kind::Unlabelled => "samples without a label, where others have one",
        Kind::ApartLabel => {
            "labels that are not next to their images: `tar --sort=name` and --fix put them together"
        }
        Kind::DottedName => "images with a dot in their name, each of which becomes a sample of its own",
        Kind::SecondImage => "images, such as masks, that are not used, since their sample has another image",
        Kind::MaskFolder => {
            "images in a folder named like a folder of masks; they are used as images: if they are masks, write the shards without \
             that folder (`tar --exclude=FOLDER`, or `amdim-stream pack`)"
        }
        Kind::Concatenated => "archives appended to another one in the same file: --fix joins them",
        Kind::Outlier => "images far larger or smaller than the others",
        Kind::Tolerated => "unusual images that can be used",
        Kind::Sorted => {
            "shards whose samples are sorted by class: train with --shuffle global, or pack them again, shuffled"
        }
    }
}

/// Logs the first findings of each kind as warnings, then remarks about the set.
pub(super) fn log(findings: &Findings, is_reported: bool) {
    for kind in Kind::ALL {
        log_kind(kind, findings, is_reported);
    }
    let totals = findings.totals();
    for (oddity, count) in &totals.oddities {
        tracing::info!("tolerated: {count} with {oddity}");
    }
    if totals.ignored > 0 {
        tracing::info!("{} {}", totals.ignored, RemarkKind::Ignored.words(totals.ignored));
    }
    if findings.shared_keys() > 0 {
        tracing::info!(
            "{} keys occur in several shards, which does no harm: every sample is used",
            findings.shared_keys()
        );
    }
    if totals.labelled == 0 && totals.samples > 0 {
        tracing::info!("no sample is labelled: training needs no labels, probes do");
    }
}

/// Logs the number of findings of a kind and the first ones.
fn log_kind(kind: Kind, findings: &Findings, is_reported: bool) {
    let (first, count) = (findings.first(kind), findings.totals().found(kind));
    if first.is_empty() {
        return;
    }
    tracing::warn!("{}: {count}", title(kind));
    for finding in first {
        tracing::warn!("  {finding}");
    }
    match count - first.len() as u64 {
        0 => {}
        more if is_reported => tracing::warn!("  and {more} more"),
        more => tracing::warn!("  and {more} more; --report FILE.jsonl lists all"),
    }
}

/// Returns a line about the samples that training would lose, or none if it would lose none.
pub(super) fn losses(totals: &Counts) -> Option<String> {
    let Counts { samples, kept, .. } = totals;
    let faults = totals.found(Kind::Fault);
    let unread = totals.sum(|kind| kind.is_loss() && !kind.is_removable());
    if totals.sum(Kind::is_loss) == 0 {
        return None;
    }
    let mut losses = vec![format!("{} of {samples} samples cannot be used", samples - kept)];
    losses.extend((faults > 0).then(|| format!("there are {faults} faults of whole shards")));
    losses.extend((unread > 0).then(|| format!("{unread} labels or links cannot be used")));
    Some(losses.join(", and "))
}
