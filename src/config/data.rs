//! Settings of the dataset.

use pipeline::DecodeMode;
use shards::Shuffle;

use crate::{
    numbers,
    settings::{Heading, patterns, settings, text, whole},
};

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
        /// Divide each epoch into this number of equal spans, of which every batch takes the same number of
        /// samples.
        partitions: usize = 1, whole(numbers::PARTITIONS).flag(Heading::Data, "N")
            .default("one for each machine that the run begins on");
        /// How JPEGs are decoded: exact (as by Pillow, to the bit) or fast (chroma is resized as the file
        /// stores it).
        decode: DecodeMode = DecodeMode::default(), text::<DecodeMode>().flag(Heading::Data, "MODE").default("exact");
    }
}

impl DataConfig {
    /// Returns how many of a set of `samples` an epoch has: all but the remainder of their division into
    /// partitions.
    pub(crate) fn samples_an_epoch(&self, samples: u64) -> u64 {
        samples - samples % self.partitions as u64
    }

    /// Makes the patterns absolute, so that they name the same shards from every folder.
    pub fn make_absolute(&mut self) {
        for pattern in self.shards.iter_mut().chain(&mut self.val_shards) {
            *pattern = shards::absolute(pattern);
        }
    }
}
