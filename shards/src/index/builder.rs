//! The builder of an index: it gathers members into samples.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    mem,
};

use super::{
    companions::Dotted,
    gathered::{Gathered, GivenLabel, text},
    listed::{Detail, Listed},
    shard_index::ShardIndex,
    strays::StrayLabel,
};
use crate::{
    Result, Shard, ShardName, Unavailable,
    fault::Fault,
    label::{CLASS_LIMIT, JSON_LIMIT, Label},
    links::{Links, Place},
    name::{Name, Role},
    neighbours::{Neighbours, Part},
    remark::{Finding, RemarkKind},
    scan::{Kind, Member, Scanner},
    signature,
    span::Span,
};

/// Gathers the members of a shard, in order, into samples.
pub(crate) struct Builder<'a> {
    name: &'a ShardName,
    gathered: Gathered<'a>,
    /// Samples that may turn out to be companions.
    dotted: Vec<Dotted>,
    strays: Vec<StrayLabel>,
    faults: Vec<Fault>,
    neighbours: Neighbours,
    /// The shard's links, read when the first link is met.
    links: Option<io::Result<Links>>,
    archives: usize,
    files: u64,
    lost_links: u64,
    /// A few of the extensions met, for the message about a shard without images.
    extensions: BTreeSet<String>,
    is_cacheable: bool,
    /// The failure of the server that the shard is on.
    unavailable: Option<Unavailable>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(name: &'a ShardName) -> Self {
        Self::with(name, None)
    }

    /// Makes a builder that also keeps the details for an inspection, and records invalid classes as
    /// findings.
    pub(crate) fn detailed(name: &'a ShardName) -> Self {
        Self::with(name, Some(Detail::default()))
    }

    fn with(name: &'a ShardName, detail: Option<Detail>) -> Self {
        Self {
            name,
            gathered: Gathered::new(name, detail),
            dotted: Vec::new(),
            strays: Vec::new(),
            faults: Vec::new(),
            neighbours: Neighbours::default(),
            links: None,
            archives: 0,
            files: 0,
            lost_links: 0,
            extensions: BTreeSet::new(),
            is_cacheable: true,
            unavailable: None,
        }
    }

    /// Begins with the first bytes of a shard. Returns whether there is anything to read.
    ///
    /// # Errors
    /// The shard is not a tar.
    pub(crate) fn open(&mut self, shard: &Shard) -> Result<bool> {
        if shard.is_empty() {
            self.fault(0, "it is empty (0 bytes)".to_owned());
            return Ok(false);
        }
        let mut start = vec![0; shard.len().min(signature::LENGTH) as usize];
        if let Err(source) = shard.read(0, &mut start) {
            self.unreadable(0, "it cannot be read", &source);
            return Ok(false);
        }
        signature::check(self.name, &start)?;
        Ok(true)
    }

    /// Adds a member.
    ///
    /// # Errors
    /// The class is invalid, unless details are kept for an inspection.
    pub(crate) fn add(&mut self, member: &Member, scanner: &mut Scanner<'_>) -> Result<()> {
        if let Some(detail) = &mut self.gathered.detail {
            let (head, end) = (member.head, scanner.position());
            let is_whole = member.data.saturating_add(member.size) <= scanner.shard().len();
            detail.members.push(Listed { head, end, is_whole, sample: None, link: None });
        }
        self.note_archives(scanner)?;
        let name = Name::split(&member.name);
        let Some(place) = self.place(member, name, scanner) else { return Ok(()) };
        self.files += 1;
        let Some(name) = name else {
            self.ignore(member);
            return Ok(());
        };
        if !self.neighbours.continues(name) {
            self.gather()?;
        }
        self.add_named(member, name, place, scanner);
        Ok(())
    }

    fn add_named(&mut self, member: &Member, name: Name<'_>, place: Place, scanner: &mut Scanner<'_>) {
        let mut role = name.role();
        match role {
            Role::Other => self.ignore(member),
            Role::Image(_) if u32::try_from(place.size).is_err() => {
                self.fault(
                    place.data,
                    format!("the header of an image gives a size of {} bytes", place.size),
                );
                role = Role::Other;
            }
            _ => {}
        }
        if self.gathered.spans.is_empty() && self.extensions.len() < 5 {
            self.extensions.insert(String::from_utf8_lossy(name.extension()).to_ascii_lowercase());
        }
        let label = self.label(role, place, scanner);
        let number = self.gathered.detail.as_ref().map_or(0, |detail| detail.members.len() - 1);
        let entry = self.neighbours.push(name, number);
        (entry.head, entry.end, entry.place) = (member.head, scanner.position(), place);
        (entry.role, entry.label) = (role, label);
    }

    /// Finds the data of a member, or of the file that it links to. `None` if there are none.
    fn place(&mut self, member: &Member, name: Option<Name<'_>>, scanner: &Scanner<'_>) -> Option<Place> {
        match member.kind {
            Kind::File => return Some(Place { data: member.data, size: member.size }),
            Kind::Other => return None,
            Kind::HardLink(_) | Kind::SymbolicLink(_) => {}
        }
        name.filter(|name| name.role() != Role::Other)?;
        let place = self.links(member, scanner.shard())?.follow(member);
        if let (Some(detail), Some(place)) = (&mut self.gathered.detail, place)
            && let Some(last) = detail.members.last_mut()
        {
            last.link = Some((member.name.clone(), place));
            last.is_whole = place.data.saturating_add(place.size) <= scanner.shard().len();
        }
        if place.is_none() {
            self.lost_links += 1;
            self.gathered.note(RemarkKind::Link, member.head, text(&member.name), String::new(), None);
        }
        place
    }

    /// Returns the links of the shard; `None`, with a fault, if they could not be read.
    fn links(&mut self, member: &Member, shard: &Shard) -> Option<&Links> {
        if self.links.is_none() {
            let links = Links::of(shard);
            if let Err(error) = &links {
                self.unreadable(member.head, "links cannot be followed", error);
            }
            self.links = Some(links);
        }
        self.links.as_ref()?.as_ref().ok()
    }

    /// Reads the class that a member gives; absent if the member is cut, which the scanner will report, or
    /// unreadable.
    fn label(&mut self, role: Role, Place { data, size }: Place, scanner: &mut Scanner<'_>) -> Label {
        match role {
            Role::Class if size > CLASS_LIMIT => {
                return Label::bad(RemarkKind::BadClass, &format!("({size} bytes)"));
            }
            Role::Json if size > JSON_LIMIT => {
                return Label::bad(
                    RemarkKind::LabelJson,
                    &format!("it has {size} bytes, and {JSON_LIMIT} are read at most"),
                );
            }
            Role::Class | Role::Json => {}
            Role::Image(_) | Role::Other => return Label::Absent,
        }
        match scanner.data(data, size) {
            Ok(bytes) if role == Role::Class => Label::of_class(bytes),
            Ok(bytes) => Label::of_json(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Label::Absent,
            Err(error) => {
                self.unreadable(data, "a label cannot be read", &error);
                Label::Absent
            }
        }
    }

    /// Turns the present neighbours into samples.
    fn gather(&mut self) -> Result<()> {
        if self.neighbours.entries.is_empty() {
            return Ok(());
        }
        let mut neighbours = mem::take(&mut self.neighbours);
        let result = self.gather_neighbours(&neighbours);
        neighbours.clear();
        self.neighbours = neighbours;
        result
    }

    fn gather_neighbours(&mut self, neighbours: &Neighbours) -> Result<()> {
        let Some(part) = neighbours.only_part() else { return self.gather_parts(neighbours) };
        let sample = part.image.map(|_| self.gathered.spans.len());
        match sample {
            Some(_) => self.add_sample(neighbours, &part, 0, false)?,
            None => self.strays.extend(StrayLabel::of(neighbours, &part)),
        }
        if part.images > 1 {
            self.note_second_images(neighbours, |_| part.image);
        }
        if let Some(detail) = &mut self.gathered.detail {
            detail.assign(neighbours, |_| sample);
            detail.ends_with_sample = sample.is_some();
        }
        Ok(())
    }

    fn gather_parts(&mut self, neighbours: &Neighbours) -> Result<()> {
        let parts = neighbours.parts();
        let (owners, ambiguous) = (parts.owners(neighbours), parts.ambiguous(neighbours));
        let is_sample = |part: usize| owners[part] == part && parts.parts[part].image.is_some();
        let is_only = (0..owners.len()).filter(|&part| is_sample(part)).count() == 1;
        let mut samples = vec![None; owners.len()];
        for (number, part) in parts.parts.iter().enumerate() {
            if is_sample(number) {
                samples[number] = Some(self.gathered.spans.len());
                let first = if is_only { 0 } else { part.first };
                self.add_sample(neighbours, part, first, ambiguous[number])?;
            } else if owners[number] == number {
                self.strays.extend(StrayLabel::of(neighbours, part));
            }
        }
        self.note_second_images(neighbours, |entry| parts.parts[owners[parts.of_entry[entry]]].image);
        if let Some(detail) = &mut self.gathered.detail {
            detail.assign(neighbours, |entry| samples[owners[parts.of_entry[entry]]]);
            detail.ends_with_sample = samples.iter().any(Option::is_some);
        }
        Ok(())
    }

    /// Returns whether the shard ends right after a complete member. Only known in an inspection.
    pub(crate) fn ends_with_member(&self, shard: &Shard) -> bool {
        let last = self.gathered.detail.as_ref().and_then(|detail| detail.members.last());
        last.is_some_and(|last| last.end == shard.len())
    }

    /// Notes the images of neighbours that are not used because `used` names another one for their entry.
    fn note_second_images(&mut self, neighbours: &Neighbours, used: impl Fn(usize) -> Option<usize>) {
        for (number, entry) in neighbours.entries.iter().enumerate() {
            let Some(used) = used(number).filter(|used| *used != number) else { continue };
            let is_image = matches!(entry.role, Role::Image(_));
            if is_image && !self.gathered.findings.count(RemarkKind::SecondImage) {
                self.gathered.note_second_image(
                    entry.place.data,
                    neighbours.text(number),
                    &text(neighbours.stem(used)),
                );
            }
        }
    }

    /// Adds the sample of a part, whose first member is the entry `first`.
    fn add_sample(
        &mut self,
        neighbours: &Neighbours,
        part: &Part,
        first: usize,
        is_ambiguous: bool,
    ) -> Result<()> {
        let Some(image) = part.image.map(|image| &neighbours.entries[image]) else { return Ok(()) };
        let (number, key) = (self.gathered.spans.len(), neighbours.stem(part.first));
        let given = GivenLabel::of(neighbours, part, is_ambiguous);
        let length = u32::try_from(image.place.size).unwrap_or(0);
        let span = Span { head: image.head, image: image.place.data, length, label: given.label };
        self.gathered.push(key, span, neighbours.entries[first].head, given.source, image.role);
        let dotted = (!part.is_plain).then(|| (RemarkKind::Dotted, String::new()));
        let note = |(kind, detail)| Finding {
            kind,
            offset: span.image,
            name: text(key),
            detail,
            sample: Some(number),
        };
        let mut notes = given.remark.into_iter().chain(dotted).map(note);
        match Dotted::of(number, neighbours.name(image)) {
            Some(dotted) => self.dotted.push(dotted.with(notes.collect())),
            None => notes.try_for_each(|note| self.gathered.note_sample(note))?,
        }
        Ok(())
    }

    fn ignore(&mut self, member: &Member) {
        if !self.gathered.findings.count(RemarkKind::Ignored) {
            self.gathered.note(RemarkKind::Ignored, member.head, text(&member.name), String::new(), None);
        }
    }

    /// Ends the neighbours at the beginning of a further archive: members of two archives are never
    /// neighbours.
    fn note_archives(&mut self, scanner: &Scanner<'_>) -> Result<()> {
        let archives = scanner.archives();
        for &offset in &archives[self.archives..] {
            self.gather()?;
            self.gathered.note(RemarkKind::Concatenated, offset, String::new(), String::new(), None);
        }
        self.archives = archives.len();
        Ok(())
    }

    pub(crate) fn fault(&mut self, offset: u64, reason: String) {
        self.faults.push(Fault { offset, reason });
    }

    /// Adds a fault for data that could not be read this time, and prevents caching.
    pub(crate) fn unreadable(&mut self, offset: u64, what: &str, error: &io::Error) {
        self.fault(offset, format!("{what}: {error}"));
        self.is_cacheable = false;
        self.unavailable = self.unavailable.take().or_else(|| Unavailable::of(error).cloned());
    }

    /// Finishes the index.
    ///
    /// # Errors
    /// Those of [`add`](Self::add), or the server that the shard is on does not give it.
    pub(crate) fn finish(self, shard: &Shard) -> Result<ShardIndex> {
        Ok(self.finish_detailed(shard)?.0)
    }

    /// Finishes the index and the details for an inspection.
    pub(crate) fn finish_detailed(mut self, shard: &Shard) -> Result<(ShardIndex, Detail)> {
        if let Some(unavailable) = self.unavailable {
            return Err(unavailable.into());
        }
        self.gather()?;
        self.gathered.leave_out_companions(mem::take(&mut self.dotted))?;
        self.gathered.join_strays(mem::take(&mut self.strays))?;
        self.gathered.note_masks(shard);
        self.gathered.note_repeats(shard);
        // If nothing could be read at all, that fault says enough.
        if self.gathered.spans.is_empty() && (self.files + self.lost_links > 0 || self.faults.is_empty()) {
            let reason = self.describe();
            self.faults.insert(0, Fault { offset: 0, reason });
        }
        let (tallies, findings) = self.gathered.findings.finish();
        let index = ShardIndex {
            spans: self.gathered.spans.into(),
            faults: self.faults,
            tallies,
            digest: self.gathered.digest.digest(),
            is_cacheable: self.is_cacheable,
        };
        Ok((index, Detail { findings, ..self.gathered.detail.unwrap_or_default() }))
    }

    /// Describes the content of a shard without images.
    fn describe(&self) -> String {
        let Self { files, lost_links, extensions, .. } = self;
        let found: Vec<String> = extensions.iter().map(|extension| format!("`{extension}`")).collect();
        let images = "images (`jpg`, `jpeg`, `png`, `webp`)";
        match (files, lost_links, found.is_empty()) {
            (0, 0, _) => "it holds no files".to_owned(),
            (0, ..) => format!(
                "it holds {lost_links} links to files that are not in it, and no images: `tar --dereference` puts the files \
                 themselves into a shard"
            ),
            (_, _, true) => format!("it holds {files} files but no {images}"),
            (_, _, false) => format!("it holds {files} files but no {images}, only {}", found.join(", ")),
        }
    }
}
