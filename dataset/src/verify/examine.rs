//! Reads each shard by itself as a whole and decodes every image.

use std::{io, ops::Range};

use pipeline::{Decoder, LoaderConfig, Oddities, Rgb};
use rayon::prelude::*;
use shards::{BadReason, Finding, Inspection, ShardFault, ShardName, Source, Stamp};
use xxhash_rust::xxh3::xxh3_128;

use super::kind::Kind;
use crate::{chain::one_line, progress::Progress};

/// Samples that a thread reads at a time, with a decoder of its own.
const CHUNK: usize = 32;

/// The facts of a sample that are kept once it has been read.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Hash of the key.
    pub(super) key: u128,
    /// Hash of the encoded image.
    pub(super) image: u128,
    pub(super) offset: u64,
    pub(super) label: Option<u32>,
    /// Whether it has a label that is not used, which is told.
    pub(super) has_unread_label: bool,
    /// Of the encoded image.
    pub(super) bytes: u32,
    pub(super) pixels: u32,
    /// What is odd about its image.
    pub(super) oddities: Oddities,
    /// Whether it would be trained on.
    pub(super) is_kept: bool,
}

/// A sample that cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) reason: String,
}

/// A shard that has been read.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) name: ShardName,
    /// Which version of it was read; none where it could not be opened.
    pub(super) stamp: Option<Stamp>,
    pub(super) samples: Vec<Sample>,
    /// In order.
    pub(super) unusable: Vec<Unusable>,
    pub(super) faults: Vec<ShardFault>,
    /// What is unusual in its members.
    pub(super) findings: Vec<Finding>,
    /// Members that are neither image nor label.
    pub(super) ignored: u64,
    /// Whether the system did not give all of it: that is no damage, and may be otherwise another time.
    pub(super) is_unread: bool,
    /// All keys, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl Examined {
    /// The key of a sample, as far as it is text.
    pub(super) fn key(&self, number: usize) -> String {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        String::from_utf8_lossy(&self.keys[start..self.ends[number]]).into_owned()
    }

    /// Its samples that are kept, with their numbers.
    pub(super) fn kept(&self) -> impl Iterator<Item = (usize, &Sample)> {
        self.samples.iter().enumerate().filter(|(_, sample)| sample.is_kept)
    }
}

/// Bytes of the shards, as far as they can be found out.
pub(super) fn bytes(source: &dyn Source, names: &[ShardName]) -> u64 {
    names.iter().filter_map(|name| source.stamp(name).ok()).map(|stamp| stamp.size).sum()
}

/// Reads all shards, on the threads of the current pool: shards side by side, and the samples of each.
pub(super) fn all(source: &dyn Source, names: &[ShardName], progress: &dyn Progress) -> Vec<Examined> {
    names.par_iter().with_max_len(1).map(|name| examine(source, name, progress)).collect()
}

fn examine(source: &dyn Source, name: &ShardName, progress: &dyn Progress) -> Examined {
    let mut examined = Examined {
        name: name.clone(),
        stamp: None,
        samples: Vec::new(),
        unusable: Vec::new(),
        faults: Vec::new(),
        findings: Vec::new(),
        ignored: 0,
        is_unread: false,
        keys: Vec::new(),
        ends: Vec::new(),
    };
    match Inspection::open(source, name) {
        Ok(shard) => read(&shard, &mut examined, progress),
        Err(error) => {
            examined.is_unread = matches!(error, shards::Error::Open { .. } | shards::Error::Read { .. });
            let reason = format!("nothing of it can be read: {}", one_line(&error));
            examined.faults.push(ShardFault { shard: name.shared(), offset: 0, reason });
        }
    }
    let images: u64 = examined.samples.iter().map(|sample| u64::from(sample.bytes)).sum();
    progress.advance(0, source.stamp(name).map_or(0, |stamp| stamp.size).saturating_sub(images));
    examined
}

fn read(shard: &Inspection, examined: &mut Examined, progress: &dyn Progress) {
    examined.stamp = Some(shard.stamp());
    examined.faults = shard.faults().to_vec();
    // Of samples the key is known.
    let without_key = |finding: &Finding| match finding.sample {
        Some(_) => Finding { name: String::new(), detail: finding.detail.clone(), ..*finding },
        None => finding.clone(),
    };
    examined.findings = shard.findings().iter().map(without_key).collect();
    examined.ignored = shard.ignored();
    examined.is_unread = shard.is_unread();
    for sample in shard.samples() {
        examined.keys.extend(&sample.key);
        examined.ends.push(examined.keys.len());
    }
    let count = shard.samples().len();
    let chunks: Vec<_> = (0..count).step_by(CHUNK).map(|start| start..count.min(start + CHUNK)).collect();
    let looks: Vec<_> =
        chunks.into_par_iter().flat_map_iter(|range| look_at(shard, range, progress)).collect();
    for (number, (sample, trouble)) in looks.into_iter().enumerate() {
        examined.samples.push(sample);
        let Some(Trouble { kind, reason, is_unread }) = trouble else { continue };
        examined.is_unread |= is_unread;
        examined.unusable.push(Unusable { number, kind, reason });
    }
    let unread = shard.findings().iter().filter(|finding| finding.kind.is_unread_label());
    unread
        .filter_map(|finding| finding.sample)
        .for_each(|number| examined.samples[number].has_unread_label = true);
}

/// Why a sample cannot be used.
struct Trouble {
    kind: Kind,
    reason: String,
    /// Whether the system did not give its bytes, or the memory to decode it.
    is_unread: bool,
}

impl Trouble {
    fn new(kind: Kind, reason: String) -> Self {
        Self { kind, reason, is_unread: false }
    }
}

/// Reads some samples of a shard.
fn look_at(
    shard: &Inspection,
    numbers: Range<usize>,
    progress: &dyn Progress,
) -> Vec<(Sample, Option<Trouble>)> {
    let mut decoder = Decoder::new(LoaderConfig::default().max_pixels);
    let mut image = Rgb::default();
    let mut look = |number: usize| {
        let inspected = &shard.samples()[number];
        let mut sample = Sample {
            key: xxh3_128(&inspected.key),
            image: 0,
            offset: inspected.offset,
            label: inspected.label,
            has_unread_label: false,
            bytes: 0,
            pixels: 0,
            oddities: Oddities::default(),
            is_kept: false,
        };
        let outcome = match (&inspected.bad, &mut decoder) {
            (Some(BadReason::Cut(reason)), _) => Err(Trouble::new(Kind::Truncated, (*reason).to_owned())),
            (Some(BadReason::Label(reason)), _) => Err(Trouble::new(Kind::BadLabel, reason.clone())),
            (None, Err(error)) => Err(Trouble::new(Kind::Undecodable, one_line(error))),
            (None, Ok(decoder)) => decode(shard, number, decoder, &mut image, &mut sample),
        };
        sample.is_kept = outcome.is_ok();
        progress.advance(1, sample.bytes.into());
        (sample, outcome.err())
    };
    numbers.map(&mut look).collect()
}

/// Reads and decodes the image of a sample; `image` is scratch.
fn decode(
    shard: &Inspection,
    number: usize,
    decoder: &mut Decoder,
    image: &mut Rgb,
    sample: &mut Sample,
) -> Result<(), Trouble> {
    let cut = |error: io::Error| Trouble {
        kind: Kind::Truncated,
        reason: one_line(&error),
        is_unread: error.kind() != io::ErrorKind::UnexpectedEof,
    };
    let encoded = shard.image(number).map_err(cut)?;
    let decoded = encoded.read(|bytes| {
        (sample.image, sample.bytes) = (xxh3_128(bytes), bytes.len() as u32);
        decoder.decode(bytes, image)
    });
    decoded.map_err(cut)?.map_err(|error| Trouble {
        kind: Kind::Undecodable,
        reason: one_line(&error),
        is_unread: matches!(error, pipeline::Error::Memory),
    })?;
    (sample.pixels, sample.oddities) = (image.width * image.height, decoder.oddities());
    Ok(())
}
