//! Which samples are trained on.

use pipeline::DecodeMode;
use shards::Shuffle;

use crate::settings::{Heading, patterns, settings, text};

settings! {
    /// Which samples are trained on.
    pub struct DataConfig {
        /// Shards to train on: 'train-<000..999>.tar', '{000..999}', '{a,b}', globs, @list.txt; several may be given.
        shards: Vec<String> = Vec::new(), patterns().flag(Heading::Data, "PATTERN").free();
        /// Shards to validate the online probes on.
        val_shards: Vec<String> = Vec::new(), patterns().flag(Heading::Data, "PATTERN").free();
        /// global (any order, for local SSDs), window:N (neighbours read together, then N samples mixed; for disks and remote stores)
        /// or none.
        shuffle: Shuffle = Shuffle::default(), text::<Shuffle>().flag(Heading::Data, "HOW").default("window:16384");
        /// How JPEGs are decoded: exact (as Pillow, to the bit) or fast (chroma resized as the file holds it).
        decode: DecodeMode = DecodeMode::default(), text::<DecodeMode>().flag(Heading::Data, "MODE").default("exact");
    }
}

impl DataConfig {
    /// Lets the patterns name the same shards in every folder.
    pub fn make_absolute(&mut self) {
        for pattern in self.shards.iter_mut().chain(&mut self.val_shards) {
            *pattern = shards::absolute(pattern);
        }
    }
}
