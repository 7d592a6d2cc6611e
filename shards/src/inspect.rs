//! A shard by itself, with all that is wrong in it.

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

/// Bytes that are read before their pages are taken out of the process again.
const MAPPED: u64 = 40 << 20;
/// Bytes that are copied at a time.
const PIECE: u64 = 1 << 20;

/// Why a sample is bad: it is left out of training, or ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadReason {
    /// The shard ends within the sample, or so early that members are missing.
    Cut(&'static str),
    /// Its label is none: a clause that names it.
    Label(String),
}

/// A sample of an inspected shard.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Its key as the shard has it, which need not be UTF-8.
    pub key: Vec<u8>,
    /// Byte at which the image's data begin.
    pub offset: u64,
    /// The class, where the sample has one.
    pub label: Option<u32>,
    /// Why it is bad, as far as the headers and the label say.
    pub bad: Option<BadReason>,
    span: Span,
    /// Where its members lie, in order.
    ranges: Vec<Range<u64>>,
}

/// Members that stay together or are left out together.
#[derive(Debug)]
struct Piece {
    range: Range<u64>,
    /// The sample whose they are, if they are one's.
    sample: Option<usize>,
    /// Of a link that is read through its name, and what it leads to.
    link: Option<(Vec<u8>, Place)>,
}

/// A shard read by itself and anew: what a [`ShardSet`](crate::ShardSet) refuses is told here, sample by sample, and
/// what is good can be copied. Samples are those of a set.
#[derive(Debug)]
pub struct Inspection {
    name: ShardName,
    shard: Shard,
    samples: Vec<Inspected>,
    faults: Vec<ShardFault>,
    findings: Vec<Finding>,
    ignored: u64,
    /// All whole members, in the order of a copy.
    pieces: Vec<Piece>,
    /// Whether a header or a label could not be read, though the shard holds one.
    is_unread: bool,
    /// Bytes read since pages were last released.
    mapped: AtomicU64,
}

impl Inspection {
    /// Reads the headers of a shard.
    ///
    /// # Errors
    /// It cannot be opened, or is no tar at all.
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

    /// Its samples, in order, those included that are bad.
    pub fn samples(&self) -> &[Inspected] {
        &self.samples
    }

    /// Trouble with the shard itself.
    pub fn faults(&self) -> &[ShardFault] {
        &self.faults
    }

    /// What is unusual in it, but for members that are ignored.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Members that are neither image nor label.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Whether the system did not give all headers and labels: that is no damage, and may be otherwise another time.
    pub fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Which version of the shard this is.
    pub fn stamp(&self) -> Stamp {
        self.shard.stamp()
    }

    /// The image of a sample. All of the sample's members are read.
    ///
    /// # Errors
    /// Some of its bytes cannot be read, or, with [`io::ErrorKind::UnexpectedEof`], the shard ends before them.
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

    /// Writes a shard of everything in this one, byte for byte and in its order, but for the samples that are not to be
    /// kept and what is cut. Labels that lie apart from their images come to lie beside them, and links that are read
    /// through become files.
    ///
    /// # Errors
    /// This shard cannot be read any more, or the other one not be written; nothing is at `path` then that was not before.
    pub fn copy(&self, keep: impl Fn(usize) -> bool, path: &Path) -> Result<()> {
        let mut writer = ShardWriter::create(path)?;
        for piece in self.pieces.iter().filter(|piece| piece.sample.is_none_or(&keep)) {
            match &piece.link {
                None => self.append(&mut writer, piece.range.clone())?,
                Some((name, place)) => {
                    let mut data = vec![0; place.size as usize]; // its piece is whole, so that the shard has them
                    self.read(place.data, &mut data)?;
                    writer.append_file(name, &data)?;
                }
            }
        }
        writer.finish()
    }

    /// Copies whole members.
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

    /// Counts bytes that are about to be read, and takes the pages of earlier ones out of the process once in a while.
    fn release_pages(&self, bytes: u64) {
        if self.mapped.fetch_add(bytes, Relaxed) + bytes >= MAPPED {
            self.mapped.store(0, Relaxed);
            self.shard.release_pages();
        }
    }
}

/// Reads all headers. Gives whether the shard is cut or damaged within an archive.
fn scan(builder: &mut Builder<'_>, shard: &Shard) -> Result<bool> {
    let mut scanner = Scanner::new(shard, 0);
    loop {
        match scanner.next() {
            Ok(None) => return Ok(false),
            Ok(Some(member)) => builder.add(&member, &mut scanner)?,
            Err(Trouble::Damaged { offset, reason }) => {
                builder.fault(offset, reason);
                // Behind the end-of-archive mark all samples before it are whole, and so they are where only that is missing.
                return Ok(offset <= scanner.position() && !builder.ends_with_member(shard));
            }
            Err(Trouble::Unreadable { offset, source }) => {
                builder.unreadable(offset, &format!("it cannot be read: {source}"));
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

/// Where the rest of a shard is lost, so may be members of the sample before it: it counts as whole if it has such a
/// label as the sample before has. Every sample has an image, and nothing else is read.
fn suspect_last(samples: &mut [Inspected], roles: &[u8]) {
    let ([.., last], [.., before, own]) = (samples, roles) else { return };
    let labels = Role::Class.bit() | Role::Json.bit();
    if before & labels & !own != 0 {
        let reason = "the shard is cut behind it, and it lacks a label that the sample before has";
        last.bad.get_or_insert(BadReason::Cut(reason));
    }
}

/// The members that are whole, those of a sample together.
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
