//! A shard by itself, with all that is wrong in it.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    Encoded, Error, Result, Shard, ShardFault, ShardName, ShardWriter, Source, Stamp,
    index::{Builder, Index, split_name},
    scan::{Member, Scanner, Trouble},
    span::{NO_LABEL, Span},
};

/// Bytes that are read before their pages are taken out of the process again.
const MAPPED: u64 = 40 << 20;
/// Bytes that are copied at a time.
const PIECE: u64 = 1 << 20;

/// Why a sample is lost on training, or ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
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
    /// Byte at which the image's data begin (the first header where there is no image).
    pub offset: u64,
    /// The class, where the sample has one.
    pub label: Option<u32>,
    /// Why it is lost, as far as the headers and the label say.
    pub lost: Option<Lost>,
    span: Span,
    /// Byte behind its last member, padding included.
    end: u64,
    /// Its members' extensions, in lower case.
    extensions: Vec<String>,
}

/// A shard read by itself and anew: what a [`ShardSet`](crate::ShardSet) refuses is told here, sample by sample, and
/// what is good can be copied.
///
/// Samples are those of a set, but for one thing: where a member repeats another one's extension under the same key, a
/// set merges two samples into one, of which it uses the first image; here they are two with the same key.
#[derive(Debug)]
pub struct Inspection {
    name: ShardName,
    shard: Shard,
    samples: Vec<Inspected>,
    faults: Vec<ShardFault>,
    /// Byte behind the last whole member, padding included.
    end: u64,
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
        let mut reading = Reading { builder: Builder::new(name), samples: Vec::new(), end: 0 };
        if reading.builder.open(&shard)? {
            reading.scan(&shard)?;
        }
        let Reading { builder, mut samples, end } = reading;
        let Index { spans, faults, is_lasting, .. } = builder.finish();
        samples.truncate(spans.len());
        for (sample, span) in samples.iter_mut().zip(spans) {
            (sample.offset, sample.label, sample.span) = (span.offset(), span.label(), span);
        }
        let fault = |fault: crate::index::Fault| ShardFault {
            shard: name.shared(),
            offset: fault.offset,
            reason: fault.reason,
        };
        let faults = faults.into_iter().map(fault).collect();
        Ok(Self {
            name: name.clone(),
            shard,
            samples,
            faults,
            end,
            is_unread: !is_lasting,
            mapped: AtomicU64::new(0),
        })
    }

    /// Its samples, in order, those included that are lost.
    pub fn samples(&self) -> &[Inspected] {
        &self.samples
    }

    /// Trouble with the shard itself.
    pub fn faults(&self) -> &[ShardFault] {
        &self.faults
    }

    /// Whether the system did not give all headers and labels: that is no damage, and may be otherwise another time.
    pub fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Which version of the shard this is.
    pub fn stamp(&self) -> Stamp {
        self.shard.stamp()
    }

    /// The image of a sample; empty where it has none. All of the sample's members are read.
    ///
    /// # Errors
    /// Some of its bytes cannot be read, or, with [`io::ErrorKind::UnexpectedEof`], the shard ends before them.
    pub fn image(&self, number: usize) -> io::Result<Encoded> {
        let Inspected { span, end, .. } = &self.samples[number];
        let end = (*end).min(self.shard.len());
        self.release_pages(end.saturating_sub(span.head));
        self.shard.slice(span.head..end)?;
        if span.image == 0 {
            return Ok(Encoded::default());
        }
        let range = span.image..span.image + u64::from(span.length);
        let bytes = self.shard.slice(range.clone())?;
        Ok(self.shard.encoded(&bytes, range))
    }

    /// Writes a shard of everything in this one, byte for byte and in its order, but for the samples that are not to be
    /// kept and what is cut.
    ///
    /// # Errors
    /// This shard cannot be read any more, or the other one not be written; nothing is at `path` then that was not before.
    pub fn copy(&self, keep: impl Fn(usize) -> bool, path: &Path) -> Result<()> {
        let mut writer = ShardWriter::create(path)?;
        let mut from = 0;
        for (number, sample) in self.samples.iter().enumerate() {
            if !keep(number) {
                self.append(&mut writer, from..sample.span.head)?;
                from = sample.end;
            }
        }
        self.append(&mut writer, from..self.end)?;
        writer.finish()
    }

    /// Copies whole members.
    fn append(&self, writer: &mut ShardWriter, range: Range<u64>) -> Result<()> {
        let end = range.end.min(self.shard.len());
        let mut piece = Vec::new();
        let mut offset = range.start;
        while offset < end {
            piece.resize(PIECE.min(end - offset) as usize, 0);
            let failed = |source| Error::Read { shard: self.name.shared(), offset, source };
            self.shard.read(offset, &mut piece).map_err(failed)?;
            writer.append_members(&piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Counts bytes that are about to be read, and takes the pages of earlier ones out of the process once in a while.
    fn release_pages(&self, bytes: u64) {
        if self.mapped.fetch_add(bytes, Relaxed) + bytes >= MAPPED {
            self.mapped.store(0, Relaxed);
            self.shard.release_pages();
        }
    }
}

/// A shard whose headers are being read.
struct Reading<'a> {
    builder: Builder<'a>,
    samples: Vec<Inspected>,
    end: u64,
}

impl Reading<'_> {
    fn scan(&mut self, shard: &Shard) -> Result<()> {
        let mut scanner = Scanner::new(shard, 0);
        loop {
            match scanner.next() {
                Ok(None) => return Ok(()),
                Ok(Some(member)) => self.add(&member, &mut scanner, shard.len())?,
                // Behind the end-of-archive mark: all samples before it are whole.
                Err(Trouble::Damaged { offset, reason }) if offset > scanner.position() => {
                    self.builder.fault(offset, reason);
                    return Ok(());
                }
                Err(Trouble::Damaged { offset, reason }) => break self.builder.fault(offset, reason),
                Err(Trouble::Unreadable { offset, source }) => {
                    break self.builder.unreadable(offset, &format!("it cannot be read: {source}"));
                }
                Err(Trouble::Unsupported { offset, what }) => {
                    break self.builder.fault(offset, format!("it holds {what}, which is not supported"));
                }
            }
        }
        self.suspect_last();
        Ok(())
    }

    fn add(&mut self, member: &Member, scanner: &mut Scanner<'_>, length: u64) -> Result<()> {
        let is_whole = member.data.saturating_add(member.size) <= length;
        if is_whole {
            self.end = scanner.position();
        }
        let Some((key, extension)) = split_name(&member.name).filter(|_| member.is_file) else {
            return Ok(());
        };
        let extension = String::from_utf8_lossy(extension).to_ascii_lowercase();
        if self.samples.last().is_some_and(|sample| sample.key == key && sample.has(&extension)) {
            self.builder.part();
        }
        let added = self.builder.add(member, scanner);
        if self.builder.len() > self.samples.len() {
            self.samples.push(Inspected::new(key, member.head));
        }
        let Some(sample) = self.samples.last_mut() else { return added };
        sample.end = scanner.position();
        sample.extensions.push(extension);
        if !is_whole {
            sample.lost = Some(Lost::Cut("the shard ends within it"));
        }
        match added {
            Err(Error::Label { extension, value, .. }) => {
                let reason =
                    format!("label `{value}` in `{extension}` is not an integer from 0 to 999999, nor -1");
                sample.lost.get_or_insert(Lost::Label(reason));
                Ok(())
            }
            added => added,
        }
    }

    /// Where the rest of a shard is lost, so may be members of the sample before it: it counts as whole if it has those that
    /// the sample before has.
    fn suspect_last(&mut self) {
        let [.., before, last] = &mut *self.samples else { return };
        if !before.extensions.iter().all(|extension| last.has(extension)) {
            let reason = "the shard is cut behind it, and it lacks members that the sample before has";
            last.lost.get_or_insert(Lost::Cut(reason));
        }
    }
}

impl Inspected {
    fn new(key: &[u8], head: u64) -> Self {
        Self {
            key: key.to_vec(),
            offset: head,
            label: None,
            lost: None,
            span: Span { head, image: 0, length: 0, label: NO_LABEL },
            end: 0,
            extensions: Vec::new(),
        }
    }

    fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|own| own == extension)
    }
}

#[cfg(test)]
mod tests;
