//! Neighbouring members with the same short name, and their division into samples.

use std::ops::Range;

use crate::{
    label::Label,
    links::Place,
    name::{Name, Role},
};

/// The number of earlier neighbours that are searched for the extension of a member that is not read.
const NEAR: usize = 16;

/// Neighbouring members that share their name up to the first dot of the base name.
///
/// They divide into *parts*: members that share their name up to the last dot, in which no extension occurs
/// twice. A part with an image is a sample, unless it is a companion, such as a mask, of the image of a part
/// without further dots.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) entries: Vec<Entry>,
    names: Vec<u8>,
}

/// A member that may belong to a sample.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) head: u64,
    /// The byte after it, padding included.
    pub(crate) end: u64,
    pub(crate) place: Place,
    pub(crate) role: Role,
    pub(crate) label: Label,
    /// The number of the member in the shard.
    pub(crate) member: usize,
    name: Range<usize>,
    dots: (usize, usize),
}

/// Members that share their name up to the last dot.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The number of its first entry.
    pub(crate) first: usize,
    /// The entry of the image that is used.
    pub(crate) image: Option<usize>,
    /// The number of its images.
    pub(crate) images: usize,
    pub(crate) class: Option<usize>,
    pub(crate) json: Option<usize>,
    /// Whether its base name has no dot before the last one.
    pub(crate) is_plain: bool,
    pub(crate) is_numbered: bool,
    bits: u8,
}

/// The division of neighbours into parts.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
    /// The number of its part, for each entry.
    pub(crate) of_entry: Vec<usize>,
}

impl Part {
    /// Returns whether one of its members gives a class.
    fn is_labelled(&self, neighbours: &Neighbours) -> bool {
        self.class.is_some() || self.json.is_some_and(|json| neighbours.entries[json].label.is_present())
    }
}

impl Neighbours {
    /// Returns whether a member of this name is a further neighbour.
    pub(crate) fn continues(&self, name: Name<'_>) -> bool {
        self.entries.first().is_some_and(|first| self.name(first).short() == name.short())
    }

    /// Returns the name of an entry.
    pub(crate) fn name(&self, entry: &Entry) -> Name<'_> {
        Name::with_dots(&self.names[entry.name.clone()], entry.dots)
    }

    /// Returns the name of an entry as text.
    pub(crate) fn text(&self, entry: usize) -> String {
        String::from_utf8_lossy(&self.names[self.entries[entry].name.clone()]).into_owned()
    }

    /// Returns the key of the part that an entry belongs to.
    pub(crate) fn stem(&self, entry: usize) -> &[u8] {
        self.name(&self.entries[entry]).stem()
    }

    /// Adds an entry, whose other fields the caller sets.
    pub(crate) fn push(&mut self, name: Name<'_>, member: usize) -> &mut Entry {
        let start = self.names.len();
        self.names.extend_from_slice(name.whole());
        let entry = Entry {
            head: 0,
            end: 0,
            place: Place { data: 0, size: 0 },
            role: Role::Other,
            label: Label::Absent,
            member,
            name: start..self.names.len(),
            dots: name.dots(),
        };
        self.entries.push(entry);
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    /// Removes all entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.names.clear();
    }

    /// Returns the only part of usual neighbours: no further dots, no extension twice, and at most one member
    /// that is not read. Returns `None` for unusual ones.
    pub(crate) fn only_part(&self) -> Option<Part> {
        let mut part = Part::new(0, self.name(self.entries.first()?));
        let mut others = 0;
        for (number, entry) in self.entries.iter().enumerate() {
            others += usize::from(entry.role == Role::Other);
            if part.bits & entry.role.bit() != 0 || others > 1 || !self.name(entry).is_plain() {
                return None;
            }
            part.add(number, entry.role, self);
        }
        Some(part)
    }

    /// Divides the neighbours into parts.
    pub(crate) fn parts(&self) -> Parts {
        let mut parts =
            Parts { parts: Vec::with_capacity(1), of_entry: Vec::with_capacity(self.entries.len()) };
        let mut last_plain = None;
        for (number, entry) in self.entries.iter().enumerate() {
            let name = self.name(entry);
            let candidate = if name.is_plain() { last_plain } else { parts.parts.len().checked_sub(1) };
            let part =
                candidate.filter(|&part| self.takes(&parts, part, number, name)).unwrap_or_else(|| {
                    parts.parts.push(Part::new(number, name));
                    parts.parts.len() - 1
                });
            if name.is_plain() {
                last_plain = Some(part);
            }
            parts.of_entry.push(part);
            parts.parts[part].add(number, entry.role, self);
        }
        parts
    }

    /// Returns whether an entry belongs to a part.
    fn takes(&self, parts: &Parts, part: usize, number: usize, name: Name<'_>) -> bool {
        let role = self.entries[number].role;
        let own = &parts.parts[part];
        if self.stem(own.first) != name.stem() || own.bits & role.bit() != 0 {
            return false;
        }
        let near = number.saturating_sub(NEAR)..number;
        let mut others = near.filter(|&other| role == Role::Other && parts.of_entry[other] == part);
        !others
            .any(|other| self.name(&self.entries[other]).extension().eq_ignore_ascii_case(name.extension()))
    }
}

impl Part {
    fn new(first: usize, name: Name<'_>) -> Self {
        Self {
            first,
            image: None,
            images: 0,
            class: None,
            json: None,
            is_plain: name.is_plain(),
            is_numbered: name.is_numbered(),
            bits: 0,
        }
    }

    fn add(&mut self, number: usize, role: Role, neighbours: &Neighbours) {
        self.bits |= role.bit();
        match role {
            Role::Image(rank) => {
                self.images += 1;
                let is_better = |best: usize| Role::Image(rank) < neighbours.entries[best].role;
                if self.image.is_none_or(is_better) {
                    self.image = Some(number);
                }
            }
            Role::Class => self.class = Some(number),
            Role::Json => self.json = Some(number),
            Role::Other => {}
        }
    }
}

impl Parts {
    /// Returns for each part the part whose sample it belongs to: itself, or the one that it is a companion
    /// of.
    pub(crate) fn owners(&self, neighbours: &Neighbours) -> Vec<usize> {
        let is_owner = |part: &Part| part.is_plain && part.image.is_some();
        let mut owner = self.parts.iter().position(is_owner);
        let mut owners = Vec::with_capacity(self.parts.len());
        for (number, part) in self.parts.iter().enumerate() {
            if is_owner(part) {
                owner = Some(number);
            }
            let image = |part: &Part| part.image.map(|image| &neighbours.entries[image]);
            let is_own = match (image(part), owner.and_then(|owner| image(&self.parts[owner]))) {
                _ if part.is_plain => true,
                (Some(own), Some(owner)) => !neighbours.name(own).is_companion_of(owner.role),
                _ => part.is_numbered && part.bits != 0,
            };
            owners.push(if is_own { number } else { owner.unwrap_or(number) });
        }
        owners
    }

    /// Returns, for each part, whether its labels are ambiguous: several parts have the same name, and not
    /// all have both an image and a label.
    pub(crate) fn ambiguous(&self, neighbours: &Neighbours) -> Vec<bool> {
        let mut ambiguous = vec![false; self.parts.len()];
        if self.parts.len() < 2 {
            return ambiguous;
        }
        let plain: Vec<usize> = (0..self.parts.len()).filter(|&part| self.parts[part].is_plain).collect();
        let dotted: Vec<usize> = (0..self.parts.len()).filter(|&part| !self.parts[part].is_plain).collect();
        let stem = |part: usize| neighbours.stem(self.parts[part].first);
        let groups = dotted.chunk_by(|&a, &b| stem(a) == stem(b)).chain([plain.as_slice()]);
        for group in groups {
            let own = || group.iter().map(|&part| &self.parts[part]).filter(|part| part.bits != 0);
            let is_clear = own().count() < 2
                || own().all(|part| part.image.is_some() && part.is_labelled(neighbours))
                || !own().any(|part| part.is_labelled(neighbours));
            for &part in group {
                ambiguous[part] = !is_clear;
            }
        }
        ambiguous
    }
}
