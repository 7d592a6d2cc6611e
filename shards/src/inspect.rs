//! Inspects one shard: all of its samples, and everything that is wrong in it.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    Encoded, Error, Finding, RemarkKind, Result, Shard, ShardFault, ShardName, ShardWriter, Source, Stamp,
    index::{Builder, Detail, Listed, ShardIndex},
    links::Place,
    name::Role,
    scan::{Scanner, Trouble},
    span::Span,
};

/// Bytes that are read before their pages are released.
const MAPPED: u64 = 40 << 20;
/// Bytes that are copied at a time.
const PIECE: u64 = 1 << 20;

/// The reason why a sample is bad and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadReason {
    /// The shard ends within the sample, or so early that members may be missing.
    Cut(&'static str),
    /// Its label is invalid: a clause that names it.
    Label(String),
}

/// A sample of an inspected shard.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The key as stored, which need not be UTF-8.
    pub key: Vec<u8>,
    /// The byte at which the image's data begins.
    pub offset: u64,
    /// The class, if the sample has one.
    pub label: Option<u32>,
    /// The reason why the sample is bad, as far as headers and labels tell.
    pub bad: Option<BadReason>,
    span: Span,
    /// The byte ranges of its members, in order.
    ranges: Vec<Range<u64>>,
}

/// Members that are copied together or not at all.
#[derive(Debug)]
struct Piece {
    range: Range<u64>,
    /// The number of the sample that the members belong to.
    sample: Option<usize>,
    /// The name of a link, and the place of the file that it leads to.
    link: Option<(Vec<u8>, Place)>,
}

/// One shard, read anew and without a cache: problems that a [`ShardSet`](crate::ShardSet) refuses are listed
/// here sample by sample, and good samples can be copied. Its samples are those of a set.
#[derive(Debug)]
pub struct Inspection {
    name: ShardName,
    shard: Shard,
    samples: Vec<Inspected>,
    faults: Vec<ShardFault>,
    findings: Vec<Finding>,
    ignored: u64,
    /// All complete members, in the order of a copy.
    pieces: Vec<Piece>,
    /// Whether a header or a label could not be read although the shard contains it.
    is_unread: bool,
    /// Bytes read since pages were last released.
    mapped: AtomicU64,
}

impl Inspection {
    /// Reads the headers of a shard.
    ///
    /// # Errors
    /// The shard cannot be opened, or is not a tar.
    pub fn open(source: &dyn Source, name: &ShardName) -> Result<Self> {
        let shard = source.open(name)?;
        let mut builder = Builder::detailed(name);
        let is_cut = builder.open(&shard)? && scan(&mut builder, &shard)?;
        let (index, detail) = builder.finish_detailed(&shard)?;
        let samples = samples(&index, &detail, is_cut);
        let pieces = pieces(&detail.members, samples.len());
        let ignored = index.tallies.iter().find(|tally| tally.kind == RemarkKind::Ignored);
        let ignored = ignored.map_or(0, |tally| tally.count);
        let ShardIndex { faults, is_cacheable, .. } = index;
        let faults = faults.into_iter().map(|fault| fault.of(&name.shared())).collect();
        Ok(Self {
            name: name.clone(),
            shard,
            samples,
            faults,
            findings: detail.findings,
            ignored,
            pieces,
            is_unread: !is_cacheable,
            mapped: AtomicU64::new(0),
        })
    }

    /// Returns all samples in order, bad ones included.
    pub fn samples(&self) -> &[Inspected] {
        &self.samples
    }

    /// Returns the faults of the shard itself.
    pub fn faults(&self) -> &[ShardFault] {
        &self.faults
    }

    /// Returns everything unusual except ignored members.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the number of members that are neither image nor label.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Returns whether the system failed to read some headers or labels: the shard is not damaged, and
    /// another try may succeed.
    pub fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Returns the version of the shard that was read.
    pub fn stamp(&self) -> Stamp {
        self.shard.stamp()
    }

    /// Reads all members of a sample, and returns its image.
    ///
    /// # Errors
    /// Some bytes cannot be read; [`io::ErrorKind::UnexpectedEof`] if the shard ends before them.
    pub fn image(&self, number: usize) -> io::Result<Encoded> {
        let Inspected { span, ranges, .. } = &self.samples[number];
        for range in ranges {
            let end = range.end.min(self.shard.len());
            self.release_pages(end.saturating_sub(range.start));
            self.shard.slice(range.start..end)?;
        }
        let range = span.image..span.image + u64::from(span.length);
        let bytes = self.shard.slice(range.clone())?;
        Ok(self.shard.encoded(&bytes, range))
    }

    /// Copies this shard to `path`, byte for byte and in order, except for samples that `keep` rejects and
    /// incomplete members. Labels stored apart from their images are moved beside them, and links that are
    /// read through become files.
    ///
    /// # Errors
    /// This shard cannot be read, or the copy cannot be written; `path` is unchanged then.
    pub fn copy(&self, keep: impl Fn(usize) -> bool, path: &Path) -> Result<()> {
        let mut writer = ShardWriter::create(path)?;
        for piece in self.pieces.iter().filter(|piece| piece.sample.is_none_or(&keep)) {
            match &piece.link {
                None => self.append(&mut writer, piece.range.clone())?,
                Some((name, place)) => {
                    let mut data = vec![0; place.size as usize]; // in bounds: only complete members are pieces
                    self.read(place.data, &mut data)?;
                    writer.append_file(name, &data)?;
                }
            }
        }
        writer.finish()
    }

    /// Copies complete members.
    fn append(&self, writer: &mut ShardWriter, range: Range<u64>) -> Result<()> {
        let end = range.end.min(self.shard.len());
        let mut piece = Vec::new();
        let mut offset = range.start;
        while offset < end {
            piece.resize(PIECE.min(end - offset) as usize, 0);
            self.read(offset, &mut piece)?;
            writer.append_members(&piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn read(&self, offset: u64, target: &mut [u8]) -> Result<()> {
        let failed = |source| Error::Read { shard: self.name.shared(), offset, source };
        self.shard.read(offset, target).map_err(failed)
    }

    /// Counts bytes that are about to be read, and releases the pages of earlier ones from time to time.
    fn release_pages(&self, bytes: u64) {
        if self.mapped.fetch_add(bytes, Relaxed) + bytes >= MAPPED {
            self.mapped.store(0, Relaxed);
            self.shard.release_pages();
        }
    }
}

/// Reads all headers. Returns whether the shard is cut or damaged within an archive.
fn scan(builder: &mut Builder<'_>, shard: &Shard) -> Result<bool> {
    let mut scanner = Scanner::new(shard, 0);
    loop {
        match scanner.next() {
            Ok(None) => return Ok(false),
            Ok(Some(member)) => builder.add(&member, &mut scanner)?,
            Err(Trouble::Damaged { offset, reason }) => {
                builder.fault(offset, reason);
                // After the end-of-archive mark all earlier samples are complete, also if only the mark
                // itself is missing.
                return Ok(offset <= scanner.position() && !builder.ends_with_member(shard));
            }
            Err(Trouble::Unreadable { offset, source }) => {
                builder.unreadable(offset, "it cannot be read", &source);
                return Ok(true);
            }
            Err(Trouble::Unsupported { offset, what }) => {
                builder.fault(offset, format!("it holds {what}, which is not supported"));
                return Ok(true);
            }
        }
    }
}

fn samples(index: &ShardIndex, detail: &Detail, is_cut: bool) -> Vec<Inspected> {
    let sample = |(span, key): (&Span, &Vec<u8>)| Inspected {
        key: key.clone(),
        offset: span.image,
        label: span.label(),
        bad: None,
        span: *span,
        ranges: Vec::new(),
    };
    let mut samples: Vec<_> = index.spans.iter().zip(&detail.keys).map(sample).collect();
    for member in &detail.members {
        let Some(sample) = member.sample.map(|sample| &mut samples[sample]) else { continue };
        match sample.ranges.last_mut() {
            Some(last) if last.end == member.head => last.end = member.end,
            _ => sample.ranges.push(member.head..member.end),
        }
        if !member.is_whole {
            sample.bad = Some(BadReason::Cut("the shard ends within it"));
        }
    }
    for finding in detail.findings.iter().filter(|finding| finding.kind == RemarkKind::BadClass) {
        let Some(sample) = finding.sample.map(|sample| &mut samples[sample]) else { continue };
        sample.bad.get_or_insert(BadReason::Label(finding.reason()));
    }
    if is_cut && detail.ends_with_sample {
        suspect_last(&mut samples, &detail.roles);
    }
    samples
}

/// Marks the last sample before lost data as bad if it lacks a kind of label that the sample before it has:
/// its other members may be lost.
fn suspect_last(samples: &mut [Inspected], roles: &[u8]) {
    let ([.., last], [.., before, own]) = (samples, roles) else { return };
    let labels = Role::Class.bit() | Role::Json.bit();
    if before & labels & !own != 0 {
        let reason = "the shard is cut after it, and it lacks a label that the sample before it has";
        last.bad.get_or_insert(BadReason::Cut(reason));
    }
}

/// Groups the complete members; those of a sample are together.
fn pieces(members: &[Listed], samples: usize) -> Vec<Piece> {
    let mut of_samples = vec![Vec::new(); samples];
    for (number, sample) in members.iter().enumerate().filter_map(|(number, own)| Some((number, own.sample?)))
    {
        of_samples[sample].push(number);
    }
    let mut order = Vec::with_capacity(members.len());
    for (number, member) in members.iter().enumerate() {
        match member.sample {
            None => order.push(number),
            Some(sample) => order.append(&mut of_samples[sample]),
        }
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for member in order.into_iter().map(|number| &members[number]).filter(|member| member.is_whole) {
        match pieces.last_mut() {
            Some(last)
                if last.range.end == member.head
                    && last.sample == member.sample
                    && last.link.is_none()
                    && member.link.is_none() =>
            {
                last.range.end = member.end;
            }
            _ => {
                let (range, link) = (member.head..member.end, member.link.clone());
                pieces.push(Piece { range, sample: member.sample, link });
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
