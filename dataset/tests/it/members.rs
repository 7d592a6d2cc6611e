//! The members of a shard, read by another reader than ours.

use std::{fs::File, io::Read, path::Path};

/// A file in a shard.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
}

impl Member {
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.name).extension().is_some_and(|own| own == extension)
    }
}

/// Returns the files in a shard, as the tar crate reads them.
pub(crate) fn members(shard: &Path) -> Vec<Member> {
    let mut tar = tar::Archive::new(File::open(shard).unwrap());
    let members = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        Member { name, data }
    });
    members.collect()
}
