//! Reads each shard completely and decodes every image.

use std::{io, ops::Range};

use pipeline::{Decoder, LoaderConfig, Oddities, Rgb};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shards::{BadReason, Finding, Inspection, ShardFault, ShardName, Source, Stamp};
use xxhash_rust::xxh3::xxh3_128;

use super::kind::Kind;
use crate::{chain::one_line, progress::Progress};

/// The number of samples that a thread reads at a time, with a decoder of its own.
const CHUNK: usize = 32;

/// The facts of a sample that are kept after reading it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sample {
    /// The hash of the key.
    pub(super) key: u128,
    /// The hash of the encoded image.
    pub(super) image: u128,
    pub(super) offset: u64,
    pub(super) label: Option<u32>,
    /// Whether it has a label that is not used, which is a finding.
    pub(super) has_unread_label: bool,
    /// The size of the encoded image in bytes.
    pub(super) bytes: u32,
    pub(super) pixels: u32,
    /// The oddities of its image.
    pub(super) oddities: Oddities,
    /// Whether training can use it.
    pub(super) is_kept: bool,
}

/// A bad sample.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BadSample {
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) reason: String,
}

/// What is known of a shard after reading it. It can be sent to another process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Examined {
    pub(super) name: ShardName,
    /// The version that was read; `None` if it could not be opened.
    pub(super) stamp: Option<Stamp>,
    pub(super) samples: Vec<Sample>,
    /// The bad samples, in order.
    pub(super) bad: Vec<BadSample>,
    pub(super) faults: Vec<ShardFault>,
    /// The unusual forms of its members.
    pub(super) findings: Vec<Finding>,
    /// The number of members that are neither image nor label.
    pub(super) ignored: u64,
    /// Whether the system failed to read some of it: it is not damaged, and another try may succeed.
    pub(super) is_unread: bool,
    /// All keys, one after the other.
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl Examined {
    /// Returns the key of a sample, as far as it is text.
    pub(super) fn key(&self, number: usize) -> String {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        String::from_utf8_lossy(&self.keys[start..self.ends[number]]).into_owned()
    }

    /// Iterates over the kept samples, with their numbers.
    pub(super) fn kept(&self) -> impl Iterator<Item = (usize, &Sample)> {
        self.samples.iter().enumerate().filter(|(_, sample)| sample.is_kept)
    }
}

/// Returns the bytes of a shard; 0 if they are not known.
pub(super) fn bytes(source: &dyn Source, name: &ShardName) -> u64 {
    source.stamp(name).map_or(0, |stamp| stamp.size)
}

/// Reads shards on the threads of the current pool, in parallel, and the samples of each in parallel too.
pub(super) fn all(source: &dyn Source, names: &[&ShardName], progress: &dyn Progress) -> Vec<Examined> {
    names.par_iter().with_max_len(1).map(|name| examine(source, name, progress)).collect()
}

fn examine(source: &dyn Source, name: &ShardName, progress: &dyn Progress) -> Examined {
    let mut examined = Examined {
        name: name.clone(),
        stamp: None,
        samples: Vec::new(),
        bad: Vec::new(),
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
    progress.advance(0, bytes(source, name).saturating_sub(images));
    examined
}

fn read(shard: &Inspection, examined: &mut Examined, progress: &dyn Progress) {
    examined.stamp = Some(shard.stamp());
    examined.faults = shard.faults().to_vec();
    // The keys of samples are stored elsewhere.
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
        examined.bad.push(BadSample { number, kind, reason });
    }
    let unread = shard.findings().iter().filter(|finding| finding.kind.is_unread_label());
    unread
        .filter_map(|finding| finding.sample)
        .for_each(|number| examined.samples[number].has_unread_label = true);
}

/// The reason why a sample is bad.
struct Trouble {
    kind: Kind,
    reason: String,
    /// Whether the system failed to read its bytes, or lacks the memory to decode it.
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
        let outcome = match &inspected.bad {
            Some(BadReason::Cut(reason)) => Err(Trouble::new(Kind::Truncated, (*reason).to_owned())),
            Some(BadReason::Label(reason)) => Err(Trouble::new(Kind::BadLabel, reason.clone())),
            None => decode(shard, number, &mut decoder, &mut image, &mut sample),
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
