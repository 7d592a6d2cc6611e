//! A bit of the memory of one process changes.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{
    group::{Ranks, assert_codes, checkpoints, last_step},
    support::Place,
};

/// A weight of the encoder. It lies in memory as in a file, since it has one pixel only.
const WEIGHT: &str = "encoder.rkhs_block_7.conv1.weight";

#[test]
fn a_flipped_bit_in_the_memory_of_one_process_ends_all_before_the_next_checkpoint() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    // With so small a rate, weights stay those of the first checkpoint, by which they are found in memory.
    let more = ["--precision", "f32", "--lr", "1e-12", "--checkpoint-every", "4", "--steps", "100"];
    let start = || Ranks::start((0..2).map(|_| place.train(&pattern, "run", &more)).collect());
    let run = place.path("run");
    let mut ranks = start();
    assert!(ranks.until(|_| !checkpoints(&run).is_empty()), "{}", ranks.all_said());
    let first = run.join(format!("checkpoints/step-{:08}/model.safetensors", checkpoints(&run)[0]));
    flip_a_bit_of(ranks.id(1), &start_of(&first, WEIGHT));
    let at = last_step(&run);
    let ended = ranks.wait();
    assert_codes(&ended, 1);
    assert!(ended[0].stderr.contains("rank 1 (process "), "{ended:?}");
    assert!(
        ended[0].stderr.contains("has other parameters than the other processes after step "),
        "{ended:?}"
    );
    let last = *checkpoints(&run).last().unwrap();
    assert!(last <= at + 4, "step {last} is saved, but the bit was flipped about step {at}");
    assert_codes(&start().wait(), 0);
}

/// Returns the first bytes of a tensor in a file of safetensors.
fn start_of(path: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensors: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let [begin, end] = [0, 1].map(|side| tensors[name]["data_offsets"][side].as_u64().unwrap() as usize);
    assert!(end - begin >= 64, "{name} is too small to be found");
    bytes[8 + header..][begin..begin + 64].to_vec()
}

/// Flips the lowest bit wherever these numbers of four bytes lie in the memory of a process that runs.
fn flip_a_bit_of(process: u32, numbers: &[u8]) {
    let memory = File::options().read(true).write(true).open(format!("/proc/{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ") && !line.contains("[v")) {
        let ends = line.split([' ', '-']).map(|end| u64::from_str_radix(end, 16).unwrap_or(0));
        let ends: Vec<_> = ends.take(2).collect();
        let mut bytes = vec![0; (ends[1] - ends[0]) as usize];
        if memory.read_exact_at(&mut bytes, ends[0]).is_err() {
            continue; // given back meanwhile
        }
        let starts = (0..bytes.len().saturating_sub(numbers.len())).step_by(4);
        for start in starts.filter(|&start| bytes[start..].starts_with(numbers)) {
            memory.write_all_at(&[bytes[start] ^ 1], ends[0] + start as u64).unwrap();
            found += 1;
        }
    }
    assert!(found > 0, "the weight is not in the memory of process {process}");
}
