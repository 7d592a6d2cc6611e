//! Nearest neighbours of random features of 2048 channels: time, and memory compared with the allowed one.
//!
//! `cargo bench --bench knn -- 200000` sets the size of the gallery; the default is 20,000.

use std::{env, fs};

use amdim_stream::eval::{features::Features, knn::Vote, neighbours};
use tch::{Device, Kind, Tensor};

#[path = "common/mod.rs"]
mod common;

const WIDTH: i64 = 2048;
const QUERIES: i64 = 1000;
const BLOCK: i64 = 2000;

fn main() {
    let gallery = env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(20_000);
    let mut table = common::Table::new(&format!("knn: {QUERIES} queries, gallery of {gallery} × {WIDTH}"));
    let (gallery, queries) = (features(gallery), features(QUERIES));
    for megabytes in [64, 256, 1024] {
        let vote = Vote { memory: megabytes << 20, ..Vote::default() };
        let before = reset_peak();
        let time = common::once(|| {
            neighbours(&vote, &gallery, &queries, 1000, Device::Cpu).expect("the features can be read")
        });
        let growth = (peak() - before) as f64 / 1024.0;
        table.row(&format!("{megabytes} MiB allowed, peak"), growth, "MiB");
        table.row(&format!("{megabytes} MiB allowed"), QUERIES as f64 / time.wall_s, "queries/s");
    }
}

/// Draws `count` random features of 1000 classes, block by block.
fn features(count: i64) -> Features {
    let block = |start: i64| {
        let rows = BLOCK.min(count - start);
        let values = Tensor::randn([rows, WIDTH], (Kind::Float, Device::Cpu));
        (values, Tensor::randint(1000, [rows], (Kind::Int64, Device::Cpu)))
    };
    Features::of_blocks((0..count).step_by(BLOCK as usize).map(block)).expect("the disk has room")
}

/// Returns the value of a line of `/proc/self/status`, in kilobytes.
fn status(name: &str) -> i64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of this name");
    line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
}

/// Resets the largest resident size of the process and returns the current one, in kilobytes.
fn reset_peak() -> i64 {
    fs::write("/proc/self/clear_refs", "5").expect("Linux 4.0");
    status("VmRSS:")
}

fn peak() -> i64 {
    status("VmHWM:")
}
