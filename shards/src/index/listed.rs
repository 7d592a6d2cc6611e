//! What an inspection keeps of a shard beside its index.

use crate::{links::Place, neighbours::Neighbours, remark::Finding};

/// What an inspection wants to know beside the index.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    /// Every member, in order.
    pub(crate) members: Vec<Listed>,
    /// Of each sample its key and the roles of its members, a bit for each.
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) roles: Vec<u8>,
    /// Whether the last neighbours that were gathered hold a sample.
    pub(crate) ends_with_sample: bool,
    /// What is unusual.
    pub(crate) findings: Vec<Finding>,
}

/// A member of an inspected shard.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) head: u64,
    /// Byte behind it, padding included.
    pub(crate) end: u64,
    /// Whether the shard has all of it, and of what it leads to.
    pub(crate) is_whole: bool,
    /// The sample that it belongs to.
    pub(crate) sample: Option<usize>,
    /// Of a link that is read through its name, and what it leads to.
    pub(crate) link: Option<(Vec<u8>, Place)>,
}

impl Detail {
    /// Tells the members of a neighbours which sample is theirs.
    pub(super) fn assign(&mut self, neighbours: &Neighbours, sample: impl Fn(usize) -> Option<usize>) {
        for (number, entry) in neighbours.entries.iter().enumerate() {
            let Some(sample) = sample(number) else { continue };
            self.members[entry.member].sample = Some(sample);
            self.roles[sample] |= entry.role.bit();
        }
    }
}
