//! Golden tensors of the reference implementation, through several processes.

use std::{fs, path::Path};

use crate::{
    amount,
    group::{Ranks, assert_codes},
    support::program,
};

/// The cases of the short form, with the numbers of processes that share their batch.
const SHORT: [(&str, &[usize]); 4] = [
    ("case_s32_bn0_d2", &[2, 3]),
    ("case_s32_bn1_d3", &[2, 4]),
    ("case_s64_bn0_d3", &[5]),
    ("case_s64_bn1_d2", &[2]),
];
/// Those that the long form adds.
const LONG: [(&str, &[usize]); 2] = [("case_s128_bn1_d2", &[2, 4]), ("case_s64_bn1_d2", &[4])];

/// Losses, gradients, statistics and parameters of five updates, in f64 within the tolerance of one process.
#[test]
fn several_processes_agree_with_the_golden_tensors_of_the_reference() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let cases: Vec<_> = SHORT.iter().chain(&LONG[..amount(0, LONG.len())]).collect();
    for size in [2, 3, 4, 5] {
        let folder = tempfile::tempdir().unwrap();
        let shared: Vec<_> = cases.iter().filter(|(_, sizes)| sizes.contains(&size)).collect();
        for (name, _) in &shared {
            for ending in ["json", "safetensors"] {
                let file = format!("{name}.{ending}");
                fs::copy(fixtures.join(&file), folder.path().join(&file)).unwrap();
            }
        }
        let selftest = || {
            let mut command = program();
            command.args(["selftest", "--device", "cpu", "--golden"]).arg(folder.path());
            command
        };
        let ended = Ranks::start((0..size).map(|_| selftest()).collect()).wait();
        assert_codes(&ended, 0);
        for kind in ["f32", "f64"] {
            let count = shared.len();
            let words = format!("golden tensors in {kind} in {size} processes ok: cases {count}, on cpu");
            assert!(ended[0].stderr.contains(&words), "{ended:?}");
        }
    }
}
