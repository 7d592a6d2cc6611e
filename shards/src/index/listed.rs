//! Details for an inspection.

use crate::{links::Place, neighbours::Neighbours, remark::Finding};

/// The details that an inspection needs beside the index.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    /// All members, in order.
    pub(crate) members: Vec<Listed>,
    /// The key of each sample.
    pub(crate) keys: Vec<Vec<u8>>,
    /// The roles of each sample's members, a bit for each.
    pub(crate) roles: Vec<u8>,
    /// Whether the last gathered neighbours contain a sample.
    pub(crate) ends_with_sample: bool,
    /// All findings except ignored members.
    pub(crate) findings: Vec<Finding>,
}

/// A member of an inspected shard.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) head: u64,
    /// The byte after it, padding included.
    pub(crate) end: u64,
    /// Whether the shard contains all of it, and all of the file that it links to.
    pub(crate) is_whole: bool,
    /// The sample that it belongs to.
    pub(crate) sample: Option<usize>,
    /// For a link that is read through: its name, and the place of the file that it leads to.
    pub(crate) link: Option<(Vec<u8>, Place)>,
}

impl Detail {
    /// Assigns the members of neighbours to their samples; `sample` returns the sample of an entry.
    pub(super) fn assign(&mut self, neighbours: &Neighbours, sample: impl Fn(usize) -> Option<usize>) {
        for (number, entry) in neighbours.entries.iter().enumerate() {
            let Some(sample) = sample(number) else { continue };
            self.members[entry.member].sample = Some(sample);
            self.roles[sample] |= entry.role.bit();
        }
    }
}
