//! Links within a shard, read through to the file that they lead to.

use std::{collections::HashMap, io};

use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Shard,
    scan::{Kind, Member, Scanner, Trouble},
};

/// Links that lead to links are followed so far.
const STEPS: usize = 16;

/// Where a file's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) data: u64,
    pub(crate) size: u64,
}

/// All files and links of a shard by name.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Hash of the name, first header, place; by hash and then in the order of the shard.
    files: Vec<(u128, u64, Place)>,
    /// By hash of the name: the name itself and what it is.
    links: HashMap<u128, (Vec<u8>, Kind)>,
}

impl Links {
    /// Reads the headers of a shard up to its end or its first damage.
    ///
    /// # Errors
    /// A header cannot be read this time.
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
                Kind::File => links.files.push((xxh3_128(&path), head, Place { data, size })),
                Kind::Other => {}
                kind => drop(links.links.insert(xxh3_128(&path), (name, kind))),
            }
        }
        links.files.sort_unstable_by_key(|(hash, head, _)| (*hash, *head));
        Ok(links)
    }

    /// The file that a link leads to; none where that is no file of the shard.
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

    /// The last file of this name, as extracting leaves it; for a hard link, of those before it.
    fn file(&self, hash: u128, before: Option<u64>) -> Option<Place> {
        let before = before.unwrap_or(u64::MAX);
        let end = self.files.partition_point(|(other, head, _)| (*other, *head) < (hash, before));
        let (other, _, place) = self.files.get(end.checked_sub(1)?)?;
        (*other == hash).then_some(*place)
    }
}

/// The path that a link leads to, from the root of the archive; none where it leads out.
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

/// A path without `.`, `..` and doubled slashes; none where it leads above the root.
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

    /// A shard of these members: a name, what it is (`f`ile, `h`ard or `s`ymbolic link), and its data or target.
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

    /// What is read by way of each link; `-` where there is nothing.
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
    fn of_files_of_one_name_a_hard_link_means_the_last_one_before_it() {
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
