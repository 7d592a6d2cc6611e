//! Many shards, and shards that are not in memory: time to the first batch, memory, quality of shuffling,
//! read-ahead.
//!
//! `cargo bench -p pipeline --bench scale`. With ` -- 1000`, the first three use 1,000 shards of 1,300
//! samples (4 GB, some minutes on a slow disk) instead of 100.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use pipeline::{Loader, LoaderConfig, Preset, Rgb, encode_jpeg};
use rustix::fs::{Advice, fadvise};
use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet, ShardWriter, Shuffle};

use common::{Table, once};

mod common;
mod photos;

/// Number of samples in a shard of tiny images.
const SAMPLES: u64 = 1_300;
const BATCH: usize = 64;
const PHOTOS: u64 = 40;
/// Number of photos in all shards: 230 MB.
const READ_AHEAD: u64 = 2_048;

fn main() {
    let count = env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100);
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let many = Shards::write(folder.path(), "many", (count, SAMPLES), &[tiny()]);
    memory(&many);
    first_batch(&many);
    quality(&many);
    let large = Shards::write(folder.path(), "large", (8, READ_AHEAD / 8), &photos::photos(PHOTOS));
    read_ahead(&large);
}

/// Returns a JPEG that is little more than its header.
fn tiny() -> Vec<u8> {
    encode_jpeg(&Rgb::black(8, 8), 90).expect("the size is a JPEG's")
}

/// Shards on disk.
struct Shards {
    paths: Vec<PathBuf>,
    pattern: String,
    cache: PathBuf,
    bytes: u64,
}

impl Shards {
    /// Writes and syncs `shards` shards of `samples` samples, with `images` in turn.
    fn write(folder: &Path, name: &str, (shards, samples): (u64, u64), images: &[Vec<u8>]) -> Self {
        let paths: Vec<PathBuf> =
            (0..shards).map(|shard| folder.join(format!("{name}-{shard:04}.tar"))).collect();
        let mut writer = ShardWriter::create(&paths[0]).expect("the temporary folder is writable");
        for (sample, image) in (0..samples).zip(images.iter().cycle()) {
            let members = [("jpg", image.as_slice()), ("cls", b"1")];
            writer.append(&format!("class/{sample:08}"), &members).expect("the disk has room");
        }
        writer.finish().expect("the disk has room");
        for path in &paths[1..] {
            fs::copy(&paths[0], path).expect("the disk has room");
        }
        for path in &paths[1..] {
            File::open(path).and_then(|file| file.sync_all()).expect("the disk takes what was written");
        }
        let bytes = shards * fs::metadata(&paths[0]).expect("it was written").len();
        let pattern = format!("{}/{name}-*.tar", folder.display());
        Self { paths, pattern, cache: folder.join("cache"), bytes }
    }

    fn describe(&self) -> String {
        let (count, gigabytes) = (self.paths.len(), self.bytes as f64 / 1e9);
        format!("{count} shards × {SAMPLES} tiny images, {gigabytes:.1} GB")
    }

    fn open(&self, cached: bool) -> ShardSet {
        let source = LocalSource::new(std::slice::from_ref(&self.pattern)).expect("the shards were written");
        let cache = cached.then(|| self.cache.clone());
        ShardSet::open(source, &IndexConfig { cache, threads: 0 }).expect("the shards are whole")
    }

    /// Drops the files from the page cache. They must not be mapped.
    fn drop_pages(&self) {
        let cached = fs::read_dir(&self.cache).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in self.paths.iter().cloned().chain(cached) {
            let file = File::open(path).expect("it was written");
            fadvise(&file, 0, None, Advice::DontNeed).expect("a file's pages can be dropped");
        }
    }
}

fn shuffled(shuffle: Shuffle) -> Order {
    Order { seed: 1, shuffle, ..Order::default() }
}

fn shuffles() -> [Shuffle; 3] {
    ["global", "window:16384", "window:1024"].map(|text| text.parse().expect("it is a shuffle"))
}

/// Loads `batches` batches of the set and drops them.
fn load(set: &ShardSet, shuffle: Shuffle, batches: u64) -> pipeline::Stats {
    let recipe = Preset::In128.recipe();
    let config = LoaderConfig { batch_size: BATCH, ..LoaderConfig::default() };
    let slabs = vec![vec![0; config.bytes(&recipe)]; config.slabs()];
    let samples = set.samples(shuffled(shuffle), Division::default(), Position::default());
    let mut loader = Loader::spawn(samples, recipe, slabs, &config).expect("the set-up is right");
    for _ in 0..batches {
        loader.next().expect("it is endless").expect("every image decodes");
    }
    loader.stats()
}

fn first_batch(shards: &Shards) {
    let title = format!("scale: start to first batch of {BATCH}, {}, window:16384", shards.describe());
    let mut table = Table::new(&title);
    let start = |cached| once(|| load(&shards.open(cached), Shuffle::default(), 1)).wall_s;
    shards.drop_pages();
    let before = read_from_disk();
    let cold = start(false);
    table.row("cold: pages dropped, index scanned", cold, "s");
    table.row("    read from the disk", (read_from_disk() - before) / 1e6, "MB");
    shards.drop_pages();
    table.row("    the same bytes in sequence, one thread", sequential(&shards.paths), "s");
    shards.drop_pages();
    table.row("pages dropped, index from its cache", start(true), "s");
    table.row("pages in memory, index scanned", start(false), "s");
    table.row("warm: pages in memory, index from its cache", start(true), "s");
}

/// Returns the seconds of reading the files one after the other.
fn sequential(paths: &[PathBuf]) -> f64 {
    once(|| paths.iter().map(|path| fs::read(path).expect("it was written").len()).sum::<usize>()).wall_s
}

fn memory(shards: &Shards) {
    let title =
        format!("scale: resident memory, {}, growth since before they were opened", shards.describe());
    let mut table = Table::new(&title);
    let before = Resident::now();
    let set = shards.open(true);
    Resident::now().rows(before, "index", &mut table);
    for shuffle in shuffles() {
        let before = Resident::now();
        let samples = set.samples(shuffled(shuffle), Division::default(), Position::default());
        let taken = samples.take(200_000).inspect(|sample| assert!(sample.is_ok(), "every sample is there"));
        // An odd interval, so that memory is not always read right after pages were released.
        let largest = taken.step_by(997).map(|_| Resident::now()).reduce(Resident::max);
        largest.expect("there are samples").rows(before, &format!("reading, {shuffle}"), &mut table);
    }
}

/// Resident memory in MB: the process's own, and that of mapped files, which the system may reclaim.
#[derive(Clone, Copy)]
struct Resident {
    anonymous: f64,
    file: f64,
}

impl Resident {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0 kB");
        let megabytes = |name| line(name).trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) / 1024.0;
        Self { anonymous: megabytes("RssAnon:"), file: megabytes("RssFile:") }
    }

    fn max(self, other: Self) -> Self {
        Self { anonymous: self.anonymous.max(other.anonymous), file: self.file.max(other.file) }
    }

    fn rows(self, before: Self, name: &str, table: &mut Table) {
        table.row(&format!("{name}: own memory"), self.anonymous - before.anonymous, "MB");
        table.row(&format!("{name}: pages of shards"), self.file - before.file, "MB");
    }
}

fn quality(shards: &Shards) {
    let mut table = Table::new("scale: shuffling of the same shards in two epochs");
    let set = shards.open(true);
    for shuffle in shuffles() {
        let [first, second] = [0, 1].map(|epoch| positions(&set, shuffle, epoch));
        let pairs = |other: &[f64]| correlation(&first, other);
        let stored: Vec<f64> = (0..set.len()).map(|index| index as f64).collect();
        let name = shuffle.to_string();
        table.row(&format!("{name}: rank correlation with the previous epoch"), pairs(&second), "");
        table.row(&format!("{name}: rank correlation with the order in the shards"), pairs(&stored), "");
        let (reach, spread) = spread(&first, SAMPLES as usize);
        table.row(&format!("{name}: (last − first) of a shard / epoch, mean"), reach, "");
        table.row(&format!("{name}: spread of a shard / uniform spread, mean"), spread, "");
    }
}

/// Returns the position of each sample in an epoch.
fn positions(set: &ShardSet, shuffle: Shuffle, epoch: u64) -> Vec<f64> {
    let order = Order { epochs: Some(epoch + 1), ..shuffled(shuffle) };
    let mut positions = vec![0.0; set.len() as usize];
    let samples = set.samples(order, Division::default(), Position { epoch, offset: 0 });
    for (position, sample) in samples.enumerate() {
        positions[sample.expect("every sample is there").index as usize] = position as f64;
    }
    positions
}

/// Returns Pearson's correlation, which for ranks is Spearman's.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let product = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
    };
    let (xx, yy) = (product(x, mean_x, x, mean_x), product(y, mean_y, y, mean_y));
    product(x, mean_x, y, mean_y) / (xx * yy).sqrt()
}

/// Returns means over the shards: the share of the epoch between a shard's first and last sample, and the
/// standard deviation of its positions relative to that of a uniform distribution.
fn spread(positions: &[f64], shard: usize) -> (f64, f64) {
    let length = positions.len() as f64;
    let (mut reach, mut spread) = (0.0, 0.0);
    for shard in positions.chunks(shard) {
        let count = shard.len() as f64;
        let mean = shard.iter().sum::<f64>() / count;
        let variance = shard.iter().map(|position| (position - mean).powi(2)).sum::<f64>() / count;
        let (first, last) =
            shard.iter().fold((f64::INFINITY, 0.0_f64), |(first, last), &at| (at.min(first), at.max(last)));
        reach += (last - first) / length;
        spread += (variance * 12.0).sqrt() / length;
    }
    let shards = positions.chunks(shard).len() as f64;
    (reach / shards, spread / shards)
}

fn read_ahead(shards: &Shards) {
    let size = shards.bytes as f64 / 1e6;
    let title =
        format!("scale: read-ahead, {READ_AHEAD} photos, {size:.0} MB, from the disk and from memory");
    let mut table = Table::new(&title);
    shards.drop_pages();
    table.row("the disk: in sequence, one thread", size / sequential(&shards.paths), "MB/s");
    shards.drop_pages();
    table.row("the disk: 110 KB anywhere, 16 threads", size / anywhere(&shards.paths), "MB/s");
    let set = shards.open(true);
    for shuffle in ["global", "window:1024", "none"].map(|text| text.parse().expect("it is a shuffle")) {
        shards.drop_pages();
        let before = read_from_disk();
        let bare = once(|| {
            let samples = set.samples(shuffled(shuffle), Division::default(), Position::default());
            assert!(samples.take(READ_AHEAD as usize).all(|sample| sample.is_ok()), "every sample is there");
        });
        table.row(&format!("{shuffle}: samples alone, cold"), size / bare.wall_s, "MB/s");
        table.row("    read from the disk", (read_from_disk() - before) / 1e6, "MB");
        whole(&set, shuffle, "in memory", &mut table);
        shards.drop_pages();
        whole(&set, shuffle, "cold", &mut table);
    }
}

/// Measures the speed of the whole loader, and the share of their time that decoders wait for samples.
fn whole(set: &ShardSet, shuffle: Shuffle, state: &str, table: &mut Table) {
    let batches = READ_AHEAD / BATCH as u64;
    let start = Instant::now();
    let stats = load(set, shuffle, batches);
    let wall_s = start.elapsed().as_secs_f64();
    let decoders_s = wall_s * LoaderConfig::default().workers as f64;
    let pairs = (batches * BATCH as u64) as f64;
    table.row(&format!("{shuffle}: whole loader, {state}"), pairs / wall_s, "pairs/s");
    table.row(
        "    decoders waiting for samples",
        stats.decode.input_us as f64 / 1e4 / decoders_s,
        "% of their time",
    );
}

/// Returns the seconds of reading the files in pieces of 110 KB, in random order, on 16 threads.
fn anywhere(paths: &[PathBuf]) -> f64 {
    use std::{os::unix::fs::FileExt, sync::atomic::AtomicUsize, sync::atomic::Ordering, thread};
    const PIECE: u64 = 110_000;
    let files: Vec<File> = paths.iter().map(|path| File::open(path).expect("it was written")).collect();
    let length = files[0].metadata().expect("it is open").len();
    let pieces = length.div_ceil(PIECE) as usize * files.len();
    for file in &files {
        fadvise(file, 0, None, Advice::Random).expect("it is only advice");
    }
    let next = AtomicUsize::new(0);
    let read = || {
        let mut buffer = vec![0; PIECE as usize];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= pieces {
                return;
            }
            // The stride is prime to the number of pieces, so every piece is read once, far from the previous one.
            let piece = number * 7_919 % pieces;
            let offset = (piece / files.len()) as u64 * PIECE;
            files[piece % files.len()].read_at(&mut buffer, offset).expect("it can be read");
        }
    };
    once(|| thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(read))))).wall_s
}

/// Returns the number of bytes that this process has read from disks.
fn read_from_disk() -> f64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("read_bytes: ")).map(str::parse);
    bytes.and_then(Result::ok).unwrap_or(f64::NAN)
}
