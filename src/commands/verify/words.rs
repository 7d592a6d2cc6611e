//! Findings in words.

use dataset::verify::{Counts, Findings, Kind};
use shards::RemarkKind;

/// The name of a kind at the head of a column of the table.
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

/// A line about all findings of a kind.
fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Fault => "shards that are cut, damaged or unreadable",
        Kind::Truncated => "samples that are cut or cannot be read",
        Kind::Undecodable => "samples whose image cannot be decoded",
        Kind::BadLabel => "samples whose label is not a class number; training ends at the first",
        Kind::UnreadLabel => "samples that count as unlabelled, since their label cannot be used",
        Kind::StrayLabel => "labels that are not used: no image, or more than one, has their key",
        Kind::Link => "links that lead out of their shard: `tar --dereference` puts the files there",
        Kind::Duplicate => "samples whose key an earlier one of their shard has",
        Kind::Contradicting => "identical images with different labels",
        Kind::Identical => "identical images",
        Kind::Unlabelled => "samples without a label, where others have one",
        Kind::ApartLabel => {
            "labels that lie apart from their images: `tar --sort=name` and --fix put them together"
        }
        Kind::DottedName => "images with a dot within their name, each taken for a sample of its own",
        Kind::SecondImage => "images, such as masks, that are not used, since their sample has another one",
        Kind::MaskFolder => {
            "images in a folder with a name of masks, beside their images; they are used as images: if they are masks, write the shards without that folder (`tar --exclude=FOLDER`, or `amdim-stream pack`)"
        }
        Kind::Concatenated => "archives behind the end of another in the same file: --fix makes them one",
        Kind::Outlier => "images far larger or smaller than the others",
        Kind::Tolerated => "images that are odd, but can be used",
        Kind::Sorted => {
            "shards whose samples are sorted by class: train with --shuffle global, or pack anew, shuffled"
        }
    }
}

/// Logs the first findings of each kind, then what is no finding but worth knowing.
pub(super) fn tell(findings: &Findings, is_reported: bool) {
    for kind in Kind::ALL {
        tell_of(kind, findings, is_reported);
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
            "{} keys stand in several shards, which is no damage: every sample is used",
            findings.shared_keys()
        );
    }
    if totals.labelled == 0 && totals.samples > 0 {
        tracing::info!("no sample is labelled: training needs no labels, probes do");
    }
}

fn tell_of(kind: Kind, findings: &Findings, is_reported: bool) {
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

/// A line about what training loses; none if it loses nothing.
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
