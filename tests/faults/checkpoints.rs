//! Checkpoints that are cut, incomplete or changed on the disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use amdim_stream::checkpoint::{Checkpoints, Loaded};

use dataset::Random;

use crate::{
    amount,
    support::{Place, tensors},
    watched::{Ended, checkpoints},
};

const LENGTH: [&str; 6] = ["--steps", "3", "--checkpoint-every", "1", "--keep", "2"];
/// In the order in which they are written.
const FILES: [&str; 3] = ["model.safetensors", "optimizer.safetensors", "state.json"];

/// A finished run of three steps, of which the last two have checkpoints.
struct Finished {
    place: Place,
    pattern: String,
    files: [Vec<u8>; 3],
}

impl Finished {
    fn new() -> Self {
        let place = Place::new();
        let pattern = place.shards("train", 1, 20);
        Ended::of(&mut place.train(&pattern, "run", &LENGTH)).assert_done();
        let folder = place.path("run/checkpoints/step-00000003");
        let files = FILES.map(|name| fs::read(folder.join(name)).unwrap());
        Self { place, pattern, files }
    }

    fn run(&self) -> PathBuf {
        self.place.path("run")
    }

    fn last(&self) -> PathBuf {
        self.run().join("checkpoints/step-00000003")
    }

    /// Writes the last checkpoint under some name as it is when writing ended after `length` bytes.
    fn write_cut(&self, folder: &Path, length: usize) {
        drop(fs::remove_dir_all(self.last()));
        fs::create_dir(folder).unwrap();
        let mut left = length;
        for (name, bytes) in FILES.iter().zip(&self.files) {
            if left > 0 {
                fs::write(folder.join(name), &bytes[..left.min(bytes.len())]).unwrap();
                left = left.saturating_sub(bytes.len());
            }
        }
    }

    fn bytes(&self) -> usize {
        self.files.iter().map(Vec::len).sum()
    }

    fn restore(&self) {
        self.write_cut(&self.last(), self.bytes());
    }

    fn latest(&self) -> Loaded {
        Checkpoints::of(&self.run()).latest().unwrap().unwrap()
    }

    /// The program goes on from the checkpoint before, to the same end.
    fn assert_resumes_from_before(&self, what: &str) {
        let ended = Ended::of(&mut self.place.train(&self.pattern, "run", &LENGTH));
        ended.assert_done();
        assert_eq!(ended.announced(), Some(2), "{what}: {}", ended.stderr);
        let [model, optimizer] = tensors(&self.run(), 3);
        assert!(model == self.files[0] && optimizer == self.files[1], "{what}: another result");
        assert_eq!(checkpoints(&self.run()), (vec![2, 3], 0), "{what}");
    }
}

#[test]
fn a_checkpoint_cut_at_every_tenth_gives_way_to_the_one_before() {
    let finished = Finished::new();
    let (mut loaded, mut resumed) = (0, 0);
    for tenth in 0..10 {
        for is_partial in [false, true] {
            let folder =
                if is_partial { finished.run().join("checkpoints/.partial-3") } else { finished.last() };
            finished.write_cut(&folder, finished.bytes() * tenth / 10);
            let what = format!("{tenth} tenths of `{}`", folder.display());
            assert_eq!(finished.latest().state.step, 2, "{what}");
            loaded += 1;
            if (tenth + usize::from(is_partial) * 5) % amount(5, 1) == 0 {
                finished.assert_resumes_from_before(&what);
                resumed += 1;
            }
            drop(fs::remove_dir_all(folder));
        }
    }
    println!(
        "checkpoints cut at every tenth: {loaded} passed over for the one before, {resumed} of them by the program, which ended \
         with the same bits"
    );
}

#[test]
fn a_checkpoint_that_lacks_a_file_gives_way_to_the_one_before() {
    let finished = Finished::new();
    let mut count = 0;
    for name in FILES {
        for is_folder in [false, true] {
            finished.restore();
            let path = finished.last().join(name);
            fs::remove_file(&path).unwrap();
            if is_folder {
                fs::create_dir(path).unwrap();
            }
            assert_eq!(finished.latest().state.step, 2, "without {name}");
            count += 1;
        }
    }
    finished.assert_resumes_from_before("a folder in place of the state");
    println!(
        "checkpoints without one of their files, or a folder in its place: {count} passed over for the one before"
    );
}

#[test]
fn a_flipped_bit_in_a_checkpoint_is_noticed() {
    let finished = Finished::new();
    let (mut random, mut noticed, mut harmless) = (Random::new(&[2]), 0, 0);
    let state = finished.latest().state;
    for (name, bytes) in FILES.iter().zip(&finished.files) {
        let path = finished.last().join(name);
        let mut damaged = bytes.clone();
        for _ in 0..amount(100, 1_000) {
            let (at, bit) = (random.below(bytes.len()), 1 << random.below(8));
            damaged[at] ^= bit;
            fs::write(&path, &damaged).unwrap();
            damaged[at] ^= bit;
            let latest = finished.latest();
            if latest.state.step == 2 {
                noticed += 1;
            } else {
                // White space, say, which means nothing: what is read is what was written.
                assert!(*name == "state.json" && latest.state == state, "{name}: byte {at}, bit {bit}");
                harmless += 1;
            }
        }
        fs::write(&path, bytes).unwrap();
    }
    for (name, bytes) in FILES.iter().zip(&finished.files).cycle().take(amount(1, 12)) {
        let mut damaged = bytes.clone();
        damaged[random.below(bytes.len() / 2)] ^= 1;
        fs::write(finished.last().join(name), damaged).unwrap();
        finished.assert_resumes_from_before(name);
    }
    println!(
        "bits flipped in checkpoints: {noticed} noticed, {harmless} without meaning; the program went on from the checkpoint \
         before {} times, to the same bits",
        amount(1, 12)
    );
}
