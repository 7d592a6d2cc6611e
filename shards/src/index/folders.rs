//! The folders of a shard.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

/// The folders of samples' images.
#[derive(Debug, Default)]
pub(super) struct Folders {
    pub(super) numbers: HashMap<Vec<u8>, usize>,
    /// The folder of the last sample, in which the next one usually is.
    last: (Vec<u8>, usize),
    /// The place of each sample.
    pub(super) of_samples: Vec<InFolder>,
}

/// The place of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFolder {
    /// The number of the folder.
    pub(super) folder: usize,
    /// The hash of the rest of the key.
    pub(super) base: u64,
}

impl Folders {
    /// Adds a sample.
    pub(super) fn add(&mut self, key: &[u8]) {
        let (folder, base) = match key.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&key[..slash], &key[slash + 1..]),
            None => (&key[..0], key),
        };
        if self.numbers.is_empty() || self.last.0 != folder {
            let next = self.numbers.len();
            let number = *self.numbers.entry(folder.to_vec()).or_insert(next);
            self.last = (folder.to_vec(), number);
        }
        self.of_samples.push(InFolder { folder: self.last.1, base: xxh3_64(base) });
    }
}
