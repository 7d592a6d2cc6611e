//! A process that is slower than the others.

use std::{fs, process::Command};

use crate::{
    group::{Ranks, assert_codes},
    support::{Place, lines},
};

/// A library that lets each read of a sample take longer: pages of shards are asked for by `madvise`.
const SLOW: &str = "
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
int madvise(void *start, size_t length, int advice) {
    usleep(30000);
    return syscall(SYS_madvise, start, length, advice);
}
";

#[test]
fn a_process_whose_data_come_slowly_is_named() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 40);
    let (source, library) = (place.path("slow.c"), place.path("slow.so"));
    fs::write(&source, SLOW).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.unwrap().success());
    let train = || place.train(&pattern, "run", &["--precision", "f32", "--steps", "25", "--workers", "1"]);
    let mut slow = train();
    slow.env("LD_PRELOAD", &library);
    let ended = Ranks::start(vec![train(), slow]).wait();
    assert_codes(&ended, 0);
    let warnings: Vec<_> = ended[0].stderr.lines().filter(|line| line.contains("times longer")).collect();
    assert_eq!(warnings.len(), 1, "{}", ended[0].stderr);
    assert!(warnings[0].contains("rank 1 (process ") && warnings[0].contains("for data"), "{warnings:?}");
    let last =
        lines(&place.path("run/metrics.jsonl")).into_iter().rfind(|line| line["kind"] == "train").unwrap();
    assert_eq!((last["processes"].as_f64(), last["slowest_rank"].as_f64()), (Some(2.0), Some(1.0)));
    assert!(last["data_ms_max"].as_f64() > last["data_ms_min"].as_f64(), "{last}");
}
