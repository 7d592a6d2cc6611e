//! Which samples a shard holds and where: one pass over its headers.

use std::{collections::BTreeSet, io::ErrorKind};

use xxhash_rust::xxh3::Xxh3;

use crate::{
    Error, Result, Shard, ShardName,
    scan::{Member, Scanner, Trouble},
    signature,
    span::{LABEL_LIMIT, NO_LABEL, Span},
};

/// A `cls` member is a number in text; a `json` member is read up to a size that descriptions stay below.
const CLASS_LIMIT: u64 = 64;
const JSON_LIMIT: u64 = 1 << 20;
const IMAGES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Trouble with a shard that leaves its other samples usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

/// The samples of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) spans: Box<[Span]>,
    pub(crate) faults: Vec<Fault>,
    /// Identifies keys, labels and places of the samples.
    pub(crate) digest: u64,
    /// Whether every read succeeded: if not, the next one may find more, and the index is not worth keeping.
    pub(crate) is_lasting: bool,
}

/// Reads the index of a shard from its headers.
///
/// Damage is a fault of the index, and what comes before it is kept. What is no tar at all, or labelled wrongly, is an
/// error: no sample of the set can be trusted then.
pub(crate) fn scan(name: &ShardName, shard: &Shard) -> Result<Index> {
    let mut builder = Builder::new(name);
    if !builder.open(shard)? {
        return Ok(builder.finish());
    }
    let mut scanner = Scanner::new(shard, 0);
    loop {
        match scanner.next() {
            Ok(None) => return Ok(builder.finish()),
            Ok(Some(member)) => builder.add(&member, &mut scanner)?,
            Err(Trouble::Damaged { offset, reason }) => {
                builder.fault(offset, reason);
                return Ok(builder.finish());
            }
            Err(Trouble::Unreadable { offset, source }) => {
                builder.unreadable(offset, &format!("it cannot be read: {source}"));
                return Ok(builder.finish());
            }
            Err(Trouble::Unsupported { offset, what }) => {
                return Err(Error::Unsupported { shard: name.shared(), offset, what });
            }
        }
    }
}

/// A sample's name: the member's up to the first dot of its base name; and the rest, its extension.
pub(crate) fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let base = name.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].iter().position(|&byte| byte == b'.')?;
    // No base name before the dot: hidden files, among them the `._` companions that macOS writes.
    (dot > base).then(|| (&name[..dot], &name[dot + 1..]))
}

/// Gathers members into samples.
pub(crate) struct Builder<'a> {
    name: &'a ShardName,
    spans: Vec<Span>,
    faults: Vec<Fault>,
    digest: Xxh3,
    key: Vec<u8>,
    /// Whether the label of the last sample is from a `cls` member, which outranks `json`.
    has_class: bool,
    has_images: bool,
    members: u64,
    /// A few of the extensions met, to say what was there instead of images.
    extensions: BTreeSet<String>,
    is_lasting: bool,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(name: &'a ShardName) -> Self {
        Self {
            name,
            spans: Vec::new(),
            faults: Vec::new(),
            digest: Xxh3::new(),
            key: Vec::new(),
            has_class: false,
            has_images: false,
            members: 0,
            extensions: BTreeSet::new(),
            is_lasting: true,
        }
    }

    /// Refuses a shard that is no tar. Gives whether there is anything in it that can be read.
    pub(crate) fn open(&mut self, shard: &Shard) -> Result<bool> {
        if shard.is_empty() {
            self.fault(0, "it is empty (0 bytes)".to_owned());
            return Ok(false);
        }
        let mut start = vec![0; shard.len().min(signature::LENGTH) as usize];
        if let Err(source) = shard.read(0, &mut start) {
            self.unreadable(0, &format!("it cannot be read: {source}"));
            return Ok(false);
        }
        signature::check(self.name, &start)?;
        Ok(true)
    }

    /// Samples so far.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Lets the next member begin a sample whatever its key is.
    pub(crate) fn part(&mut self) {
        self.key.clear();
    }

    /// Takes a member. After an error of its label the sample goes on without it.
    pub(crate) fn add(&mut self, member: &Member, scanner: &mut Scanner<'_>) -> Result<()> {
        if !member.is_file {
            return Ok(());
        }
        self.members += 1;
        let Some((key, extension)) = split_name(&member.name) else {
            return Ok(());
        };
        if self.spans.is_empty() || key != self.key {
            self.begin(key, member.head);
        }
        let extension = String::from_utf8_lossy(extension).to_ascii_lowercase();
        match &*extension {
            image if IMAGES.contains(&image) => self.add_image(member),
            "cls" => self.add_class(member, scanner)?,
            "json" => self.add_json(member, scanner)?,
            _ => {}
        }
        if !self.has_images && self.extensions.len() < 5 {
            self.extensions.insert(extension);
        }
        Ok(())
    }

    fn begin(&mut self, key: &[u8], head: u64) {
        self.end();
        self.spans.push(Span { head, image: 0, length: 0, label: NO_LABEL });
        self.key.clear();
        self.key.extend_from_slice(key);
        self.has_class = false;
    }

    fn end(&mut self) {
        if let Some(last) = self.spans.last() {
            self.digest.update(&self.key);
            self.digest.update(&last.to_bytes());
        }
    }

    fn add_image(&mut self, member: &Member) {
        let Some(last) = self.spans.last_mut() else { return };
        self.has_images = true;
        match u32::try_from(member.size) {
            Ok(length) if last.image == 0 => (last.image, last.length) = (member.data, length),
            Ok(_) => {} // the sample's first image counts
            Err(_) => self.fault(member.data, format!("an image claims to have {} bytes", member.size)),
        }
    }

    fn add_class(&mut self, member: &Member, scanner: &mut Scanner<'_>) -> Result<()> {
        if member.size > CLASS_LIMIT {
            return Err(self.label_error("cls", format!("({} bytes)", member.size)));
        }
        let Some(text) = self.text(member, scanner) else {
            return Ok(());
        };
        let label = self.check_label(text.trim(), "cls", text.trim().parse().ok())?;
        self.set_label(label);
        self.has_class = true;
        Ok(())
    }

    /// Takes the member `label` of a JSON object if it is a number; anything else is somebody else's.
    fn add_json(&mut self, member: &Member, scanner: &mut Scanner<'_>) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Labelled {
            label: Option<serde_json::Value>,
        }
        if self.has_class || member.size > JSON_LIMIT {
            return Ok(());
        }
        let Some(text) = self.text(member, scanner) else {
            return Ok(());
        };
        let Ok(Labelled { label: Some(serde_json::Value::Number(number)) }) = serde_json::from_str(&text)
        else {
            return Ok(());
        };
        let label = self.check_label(&number.to_string(), "json", number.as_i64())?;
        self.set_label(label);
        Ok(())
    }

    fn check_label(&self, text: &str, extension: &'static str, value: Option<i64>) -> Result<u32> {
        match value {
            Some(-1) => Ok(NO_LABEL),
            Some(value) if (0..i64::from(LABEL_LIMIT)).contains(&value) => Ok(value as u32),
            _ => Err(self.label_error(extension, text.to_owned())),
        }
    }

    fn label_error(&self, extension: &'static str, value: String) -> Error {
        let key = String::from_utf8_lossy(&self.key).into_owned();
        Error::Label { shard: self.name.shared(), key, extension, value }
    }

    fn set_label(&mut self, label: u32) {
        if let Some(last) = self.spans.last_mut() {
            last.label = label;
        }
    }

    pub(crate) fn fault(&mut self, offset: u64, reason: String) {
        self.faults.push(Fault { offset, reason });
    }

    /// What could not be read this time.
    pub(crate) fn unreadable(&mut self, offset: u64, reason: &str) {
        self.fault(offset, reason.to_owned());
        self.is_lasting = false;
    }

    /// A member's text; `None` where it is cut, which the scanner is going to say, or cannot be read.
    fn text(&mut self, member: &Member, scanner: &mut Scanner<'_>) -> Option<String> {
        match scanner.data(member) {
            Ok(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            Err(error) => {
                self.unreadable(member.data, &format!("a label cannot be read: {error}"));
                None
            }
        }
    }

    pub(crate) fn finish(mut self) -> Index {
        self.end();
        if !self.has_images {
            self.spans.clear();
            // Where nothing could be read, the reason for that says enough.
            if self.members > 0 || self.faults.is_empty() {
                let reason = describe(self.members, &self.extensions);
                self.faults.insert(0, Fault { offset: 0, reason });
            }
        }
        Index {
            spans: self.spans.into(),
            faults: self.faults,
            digest: self.digest.digest(),
            is_lasting: self.is_lasting,
        }
    }
}

fn describe(members: u64, extensions: &BTreeSet<String>) -> String {
    let found: Vec<String> = extensions.iter().map(|extension| format!("`{extension}`")).collect();
    match (members, found.is_empty()) {
        (0, _) => "it holds no files".to_owned(),
        (_, true) => format!("it holds {members} files but no images (`jpg`, `jpeg`, `png`, `webp`)"),
        (_, false) => {
            let found = found.join(", ");
            format!("it holds {members} files but no images (`jpg`, `jpeg`, `png`, `webp`), only {found}")
        }
    }
}

#[cfg(test)]
mod tests;
