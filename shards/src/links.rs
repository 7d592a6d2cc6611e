//! Links within a shard, resolved to the files that they lead to.

use std::{collections::HashMap, io};

use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Shard,
    scan::{Kind, Member, Scanner, Trouble},
};

/// The most links that are followed in a row.
const STEPS: usize = 16;

/// The place of a file's data, in bytes of the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) data: u64,
    pub(crate) size: u64,
}

/// All files and links of a shard, by name.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// All files, sorted by hash and header.
    files: Vec<LinkTarget>,
    /// Name and kind of each link, by the hash of the name.
    links: HashMap<u128, (Vec<u8>, Kind)>,
}

/// A file that links may lead to.
#[derive(Debug)]
struct LinkTarget {
    /// The hash of the name.
    hash: u128,
    /// The byte of its first header.
    head: u64,
    place: Place,
}

impl Links {
    /// Reads the headers of a shard up to its end or its first damage.
    ///
    /// # Errors
    /// The system failed to read a header.
    pub(crate) fn of(shard: &Shard) -> io::Result<Self> {
        let mut links = Self::default();
        let mut scanner = Scanner::new(shard, 0);
        loop {
            let member = match scanner.next() {
                Ok(Some(member)) => member,
                Ok(None) | Err(Trouble::Damaged { .. } | Trouble::Unsupported { .. }) => break,
                Err(Trouble::Unreadable { source, .. }) => return Err(source),
            };
            let Member { head, name, data, size, kind } = member;
            let Some(path) = normal(&name) else { continue };
            match kind {
                Kind::File => {
                    let (hash, place) = (xxh3_128(&path), Place { data, size });
                    links.files.push(LinkTarget { hash, head, place });
                }
                Kind::Other => {}
                kind => drop(links.links.insert(xxh3_128(&path), (name, kind))),
            }
        }
        links.files.sort_unstable_by_key(|file| (file.hash, file.head));
        Ok(links)
    }

    /// Follows a link; `None` if it does not lead to a file of the shard.
    pub(crate) fn follow(&self, link: &Member) -> Option<Place> {
        let (mut name, mut kind) = (link.name.as_slice(), &link.kind);
        for _ in 0..STEPS {
            let hash = xxh3_128(&target(name, kind)?);
            if let Some(place) = self.file(hash, matches!(kind, Kind::HardLink(_)).then_some(link.head)) {
                return Some(place);
            }
            let (next, next_kind) = self.links.get(&hash)?;
            (name, kind) = (next, next_kind);
        }
        None
    }

    /// Finds the last file of this name, which extracting would leave; for a hard link the last one before
    /// it.
    fn file(&self, hash: u128, before: Option<u64>) -> Option<Place> {
        let before = before.unwrap_or(u64::MAX);
        let end = self.files.partition_point(|file| (file.hash, file.head) < (hash, before));
        let file = self.files.get(end.checked_sub(1)?)?;
        (file.hash == hash).then_some(file.place)
    }
}

/// Returns the path that a link leads to, from the root of the archive; `None` if it leads out of it.
fn target(name: &[u8], kind: &Kind) -> Option<Vec<u8>> {
    match kind {
        Kind::HardLink(target) => normal(target),
        Kind::SymbolicLink(target) if target.starts_with(b"/") => None,
        Kind::SymbolicLink(target) => {
            let folder = name.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
            normal(&[&name[..folder], target].concat())
        }
        Kind::File | Kind::Other => None,
    }
}

/// Removes `.`, `..` and repeated slashes from a path; `None` if it leads above the root.
fn normal(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a shard of members: name, kind (`f`ile, `h`ard or `s`ymbolic link), and data or target.
    fn shard(members: &[(&str, char, &str)]) -> Shard {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, rest) in members {
            let mut header = tar::Header::new_gnu();
            match kind {
                'f' => {
                    header.set_size(rest.len() as u64);
                    builder.append_data(&mut header, name, rest.as_bytes()).unwrap();
                }
                kind => {
                    header.set_size(0);
                    header.set_entry_type(if *kind == 'h' {
                        tar::EntryType::Link
                    } else {
                        tar::EntryType::Symlink
                    });
                    builder.append_link(&mut header, name, rest).unwrap();
                }
            }
        }
        Shard::in_memory(builder.into_inner().unwrap().into())
    }

    /// Reads through each link; `-` if it leads nowhere.
    fn read(members: &[(&str, char, &str)]) -> Vec<String> {
        let shard = shard(members);
        let links = Links::of(&shard).unwrap();
        let mut scanner = Scanner::new(&shard, 0);
        let mut found = Vec::new();
        while let Ok(Some(member)) = scanner.next() {
            if !matches!(member.kind, Kind::File) {
                let bytes =
                    links.follow(&member).map(|place| scanner.data(place.data, place.size).unwrap().to_vec());
                found.push(bytes.map_or("-".to_owned(), |bytes| String::from_utf8(bytes).unwrap()));
            }
        }
        found
    }

    #[test]
    fn links_lead_to_files_of_their_shard() {
        let long = format!("{}/file", "d".repeat(150));
        assert_eq!(
            read(&[
                ("./a/1.jpg", 'f', "one"),
                ("./a/2.jpg", 'h', "./a/1.jpg"),
                ("./a/3.jpg", 's', "1.jpg"),
                ("./b/4.jpg", 's', "../a/./1.jpg"),
                ("b/5.jpg", 's', "4.jpg"),
                ("b/6.jpg", 's', "later.bin"),
                ("b/later.bin", 'f', "later"),
                (&long, 'f', "long"),
                ("c.jpg", 'h', &long),
                ("d.jpg", 's', &long),
            ]),
            ["one", "one", "one", "one", "later", "long", "long"]
        );
    }

    #[test]
    fn links_that_lead_elsewhere_or_in_circles_lead_nowhere() {
        let links = read(&[
            ("a.jpg", 's', "/data/a.jpg"),
            ("b.jpg", 's', "../b.jpg"),
            ("c.jpg", 's', "d.jpg"),
            ("d.jpg", 's', "c.jpg"),
            ("e.jpg", 'h', "later.jpg"),
            ("later.jpg", 'f', "later"),
        ]);
        assert_eq!(links, ["-"; 5]);
    }

    #[test]
    fn a_hard_link_leads_to_the_last_file_of_the_name_before_it() {
        let members = [
            ("a", 'f', "old"),
            ("b.jpg", 'h', "a"),
            ("a", 'f', "new"),
            ("c.jpg", 'h', "a"),
            ("d.jpg", 's', "a"),
        ];
        assert_eq!(read(&members), ["old", "new", "new"]);
    }
}
