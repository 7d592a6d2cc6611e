//! A folder of shards, a server of it, and a cache.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use shards::{
    Access, Division, Error, IndexConfig, LocalSource, Order, Position, RemoteConfig, Sample, ShardSet,
    ShardWriter, Shuffle,
};
use store_server::Server;
use tempfile::TempDir;

/// A sample as it was read: key, label, epoch, and a copy of the image.
pub(crate) type Seen = (String, Option<u32>, u64, Vec<u8>);

/// The shards `bucket/x-000.tar` and so on, and their server.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
}

impl Place {
    /// Writes shards with these numbers of samples, whose images have some `bytes` bytes, and starts the server.
    pub(crate) fn new(sizes: &[usize], bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let place = Self { server: Server::start(folder.path()).unwrap(), folder };
        let mut first = 0;
        for (shard, &size) in sizes.iter().enumerate() {
            place.write(shard, first..first + size, bytes);
            first += size;
        }
        place
    }

    /// Writes the shard of this number, with these samples.
    pub(crate) fn write(&self, shard: usize, samples: std::ops::Range<usize>, bytes: usize) {
        let mut writer = ShardWriter::create(self.shard(shard)).unwrap();
        for number in samples {
            let (image, label) = (image(number, bytes), (number % 10).to_string());
            writer.append(&format!("{number:05}"), &[("jpg", &image), ("cls", label.as_bytes())]).unwrap();
        }
        writer.finish().unwrap();
    }

    pub(crate) fn shard(&self, shard: usize) -> PathBuf {
        self.folder.path().join(format!("bucket/x-{shard:03}.tar"))
    }

    /// Returns the bytes of all shards.
    pub(crate) fn bytes(&self) -> u64 {
        let entries = std::fs::read_dir(self.folder.path().join("bucket")).unwrap();
        let tar = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "tar");
        entries.map(Result::unwrap).filter(tar).map(|entry| entry.metadata().unwrap().len()).sum()
    }

    /// Returns the options of stores that lead to the server.
    pub(crate) fn stores(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let options = |pairs: &[(&str, String)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let (base, yes) = (self.server.url("").trim_end_matches('/').to_owned(), "true".to_owned());
        let account = "devstoreaccount1".to_owned();
        BTreeMap::from([
            (
                "s3://bucket".to_owned(),
                options(&[
                    ("endpoint", base.clone()),
                    ("allow_http", yes.clone()),
                    ("region", "us-east-1".to_owned()),
                ]),
            ),
            ("gs://bucket".to_owned(), options(&[("base_url", base.clone()), ("allow_http", yes.clone())])),
            (
                "az://bucket".to_owned(),
                options(&[
                    ("endpoint", format!("{base}/{account}")),
                    ("allow_http", yes),
                    ("account_name", account),
                ]),
            ),
        ])
    }

    /// Returns settings that lead to the server, with a cache.
    pub(crate) fn config(&self, cache: &TempDir) -> RemoteConfig {
        RemoteConfig {
            cache: Some(cache.path().to_owned()),
            limit: Some(4 * self.bytes()),
            connections: 8,
            patience: Duration::from_secs(60),
            stores: self.stores(),
        }
    }

    /// Returns the address of all shards under a scheme.
    pub(crate) fn pattern(&self, scheme: &str, shards: usize) -> String {
        let base = if scheme == "http" { self.server.url("bucket") } else { format!("{scheme}://bucket") };
        format!("{base}/x-<000..{:03}>.tar", shards - 1)
    }

    /// Reads the samples of the files themselves.
    pub(crate) fn local(&self, order: &Order) -> Vec<Seen> {
        let source = LocalSource::new(&[format!("{}/bucket/x-*.tar", self.folder.path().display())]).unwrap();
        let set = ShardSet::open(source, &IndexConfig::default()).unwrap();
        good(set.samples(order.clone(), Division::default(), Position::default()))
    }
}

/// Makes an image that differs from all others in most bytes.
pub(crate) fn image(number: usize, bytes: usize) -> Vec<u8> {
    let mut state = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let length = bytes + number % 700;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(byte).collect()
}

/// Opens a set.
pub(crate) fn open(config: RemoteConfig, pattern: &str) -> Result<ShardSet, Error> {
    ShardSet::open(Access::new(config).open(&[pattern.to_owned()])?, &IndexConfig::default())
}

/// Reads all samples of an order.
pub(crate) fn read(set: &ShardSet, order: &Order) -> Vec<Result<Sample, Error>> {
    set.samples(order.clone(), Division::default(), Position::default()).collect()
}

/// Copies samples, all of which must be good.
pub(crate) fn good(samples: impl IntoIterator<Item = Result<Sample, Error>>) -> Vec<Seen> {
    samples.into_iter().map(|sample| seen(&sample.unwrap())).collect()
}

pub(crate) fn seen(sample: &Sample) -> Seen {
    (sample.key.clone(), sample.label, sample.epoch, sample.image.read(<[u8]>::to_vec).unwrap())
}

/// Returns an order of some epochs, mixed in windows of 64 samples.
pub(crate) fn mixed(epochs: u64) -> Order {
    Order {
        seed: 5,
        shuffle: Shuffle::Window(64.try_into().unwrap()),
        epochs: Some(epochs),
        ..Order::default()
    }
}
