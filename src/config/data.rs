//! Settings of the dataset.

use pipeline::DecodeMode;
use shards::Shuffle;

use crate::settings::{Heading, patterns, settings, text};

settings! {
    /// Settings of the dataset.
    pub struct DataConfig {
        /// Shards to train on: 'train-<000..999>.tar', '{000..999}', '{a,b}', globs, @list.txt; several
        /// patterns are allowed.
        shards: Vec<String> = Vec::new(), patterns().flag(Heading::Data, "PATTERN").free();
        /// Shards of the validation samples.
        val_shards: Vec<String> = Vec::new(), patterns().flag(Heading::Data, "PATTERN").free();
        /// Order of samples: global (random over all, for local SSDs), window:N (chunks of neighbours, mixed
        /// over N samples; for disks and remote mounts) or none (as in the shards).
        shuffle: Shuffle = Shuffle::default(), text::<Shuffle>().flag(Heading::Data, "HOW").default("window:16384");
        /// How JPEGs are decoded: exact (as by Pillow, to the bit) or fast (chroma is resized as the file
        /// stores it).
        decode: DecodeMode = DecodeMode::default(), text::<DecodeMode>().flag(Heading::Data, "MODE").default("exact");
    }
}

impl DataConfig {
    /// Makes the patterns absolute, so that they name the same shards from every folder.
    pub fn make_absolute(&mut self) {
        for pattern in self.shards.iter_mut().chain(&mut self.val_shards) {
            *pattern = shards::absolute(pattern);
        }
    }
}
