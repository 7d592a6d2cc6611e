//! A run folder that is full, read-only, or gone.

use std::{fs, path::Path, process::Command};

use amdim_stream::checkpoint::Checkpoints;

use dataset::Random;

use crate::{
    amount,
    support::{Place, tensors},
    watched::{Ended, Watched, checkpoints, last_step, losses},
};

const STEPS: u64 = 4;
const LENGTH: [&str; 4] = ["--steps", "4", "--checkpoint-every", "1"];

/// Shards and the result of a run on them that nothing disturbs.
struct Undisturbed {
    place: Place,
    pattern: String,
    whole: [Vec<u8>; 2],
}

impl Undisturbed {
    fn new() -> Self {
        let place = Place::new();
        let pattern = place.shards("train", 1, 20);
        Ended::of(&mut place.train(&pattern, "whole", &LENGTH)).assert_done();
        let whole = tensors(&place.path("whole"), STEPS);
        Self { place, pattern, whole }
    }

    fn train(&self, out: &str) -> Command {
        self.place.train(&self.pattern, out, &LENGTH)
    }

    /// The same command, run by a shell that does something before and after: in the script it is `"$@"`.
    fn scripted(&self, shell: &[&str], script: &str, out: &str) -> Command {
        let train = self.train(out);
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", script, "sh"]);
        command.arg(train.get_program()).args(train.get_args());
        command.envs(train.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// The same command again ends as it would have without the disturbance.
    fn assert_ends_well(&self, out: &str) {
        let from = checkpoints(&self.place.path(out)).0.last().copied().unwrap_or(0);
        let ended = Ended::of(&mut self.train(out));
        ended.assert_done();
        assert_eq!(ended.announced(), Some(from), "{}", ended.stderr);
        assert!(self.whole == tensors(&self.place.path(out), STEPS), "another result");
        let steps: Vec<_> = losses(&self.place.path(out)).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>());
    }
}

/// A shell that may mount, if the system gives one: its mounts are seen by itself and its children alone.
const MOUNTING: [&str; 3] = ["unshare", "-rm", "sh"];

fn may_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(MOUNTING[0]);
    command.args(&MOUNTING[1..]).args([
        "-c",
        "mount -t tmpfs -o size=1m tmpfs \"$1\" && mount -o remount,ro \"$1\"",
        "sh",
    ]);
    command.arg(folder.path()).output().is_ok_and(|output| output.status.success())
}

/// Runs on a disk of so many bytes, then again on a large one: what was said, and whether the disk was too
/// small.
fn on_a_full_disk(run: &Undisturbed, out: &str, bytes: usize) -> bool {
    let folder = run.place.path(out);
    let kept = run.place.path(&format!("{out}-kept"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&kept).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={bytes} tmpfs '{run}' || exit 9\n\"$@\"; code=$?\n\
         mount -o remount,size=64m '{run}' && cp -r '{run}/.' '{kept}' && exit $code",
        run = folder.display(),
        kept = kept.display()
    );
    let ended = Ended::of(&mut run.scripted(&MOUNTING, &script, out));
    let is_full = ended.status.code() != Some(0);
    if is_full {
        ended.assert_refused();
    } else {
        ended.assert_done();
    }
    fs::remove_dir(&folder).unwrap();
    fs::rename(kept, &folder).unwrap();
    is_full
}

/// The same where files may not grow beyond so many bytes; the signal that goes with it is ignored.
fn with_small_files(run: &Undisturbed, out: &str, bytes: usize) -> bool {
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
    let ended = Ended::of(&mut run.scripted(&["sh"], &script, out));
    let is_full = ended.status.code() != Some(0);
    if is_full {
        ended.assert_refused();
    } else {
        ended.assert_done();
    }
    is_full
}

#[test]
fn a_full_disk_ends_the_run_in_good_order_and_space_lets_it_go_on() {
    let run = Undisturbed::new();
    let mut random = Random::new(&[3]);
    let (is_disk, mut full, mut fitting) = (may_mount(), 0, 0);
    for number in 0..amount(3, 40) {
        let out = format!("full-{number}");
        // Four checkpoints of 0.5 MB are there at most; the first case has room for one.
        let bytes = if number == 0 { 700_000 } else { 4096 * (1 + random.below(540)) };
        let is_full =
            if is_disk { on_a_full_disk(&run, &out, bytes) } else { with_small_files(&run, &out, bytes / 8) };
        run.assert_ends_well(&out);
        full += usize::from(is_full);
        fitting += usize::from(!is_full);
        fs::remove_dir_all(run.place.path(&out)).unwrap();
    }
    assert!(full > 0);
    let how = if is_disk { "a tmpfs" } else { "a limit on files, as nothing can be mounted here" };
    println!(
        "disk full ({how}): {full} runs ended in good order and went on to the same bits, {fitting} had room enough"
    );
}

#[test]
fn a_read_only_folder_ends_the_run_in_good_order() {
    if !may_mount() {
        println!("read-only folders: not tested, as nothing can be mounted here");
        return;
    }
    let run = Undisturbed::new();
    let mut count = 0;
    // The whole folder of a new run, that of one under way, and where its checkpoints lie.
    for (number, (steps, below)) in [(0, ""), (2, ""), (2, "/checkpoints")].into_iter().enumerate() {
        let out = format!("read-only-{number}");
        fs::create_dir(run.place.path(&out)).unwrap();
        if steps > 0 {
            let mut begun = Watched::start(&mut run.train(&out));
            begun.until(|| checkpoints(&run.place.path(&out)).0.contains(&steps));
            begun.kill();
            fs::remove_dir_all(run.place.path(&out).join("checkpoints/step-00000004")).ok();
        }
        let folder = format!("{}{below}", run.place.path(&out).display());
        let script = format!(
            "mount --bind '{folder}' '{folder}' && mount -o remount,ro,bind '{folder}' || exit 9\nexec \"$@\""
        );
        let before = checkpoints(&run.place.path(&out)).0;
        Ended::of(&mut run.scripted(&MOUNTING, &script, &out)).assert_refused();
        assert_eq!(checkpoints(&run.place.path(&out)).0, before, "nothing is lost");
        run.assert_ends_well(&out);
        count += 1;
    }
    println!("read-only folders: {count} runs ended in good order and went on to the same bits");
}

/// Removes a folder. One that is being written in is not empty when it should be; then it is tried again.
fn remove(folder: &Path) {
    while folder.exists() && fs::remove_dir_all(folder).is_err() {}
}

#[test]
fn a_run_folder_taken_away_ends_the_run_in_good_order() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let (mut random, mut count) = (Random::new(&[4]), 0);
    for round in 0..amount(1, 10) {
        for is_moved in [false, true] {
            let run = place.path(&format!("run-{round}-{is_moved}"));
            let moved = run.with_extension("moved");
            let length = ["--steps", "1000000", "--checkpoint-every", "3"];
            let mut child = Watched::start(&mut place.train(
                &pattern,
                run.file_name().unwrap().to_str().unwrap(),
                &length,
            ));
            let step = 4 + random.below(40) as u64;
            assert!(child.until(|| last_step(&run) >= step), "{:?}", child.wait());
            if is_moved {
                fs::rename(&run, &moved).unwrap();
            } else {
                remove(&run);
            }
            child.wait().assert_refused();
            if is_moved {
                let latest = Checkpoints::of(&moved).latest().unwrap().unwrap().state.step;
                assert!(latest >= 3, "step {latest} is left after {step}");
            } else {
                assert!(!run.exists(), "it was made anew, without its records");
            }
            count += 1;
        }
    }
    println!("run folders removed or moved away under way: {count} runs ended in good order");
}

#[test]
fn checkpoints_removed_under_way_do_not_matter() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let length = ["--steps", "60", "--checkpoint-every", "3"];
    Ended::of(&mut place.train(&pattern, "whole", &length)).assert_done();
    let whole = tensors(&place.path("whole"), 60);
    let (mut random, mut count) = (Random::new(&[7]), 0);
    for round in 0..amount(1, 10) {
        for all in [false, true] {
            let out = format!("run-{round}-{all}");
            let run = place.path(&out);
            let mut child = Watched::start(&mut place.train(&pattern, &out, &length));
            let step = 4 + random.below(40) as u64;
            assert!(child.until(|| last_step(&run) >= step), "{:?}", child.wait());
            if all {
                remove(&run.join("checkpoints"));
            } else if let Some(step) = checkpoints(&run).0.last() {
                remove(&run.join(format!("checkpoints/step-{step:08}")));
            }
            let ended = child.wait();
            // One that is removed while it is written cannot be written.
            if ended.status.code() == Some(0) {
                ended.assert_done();
            } else {
                ended.assert_refused();
            }
            Ended::of(&mut place.train(&pattern, &out, &length)).assert_done();
            assert!(whole == tensors(&run, 60), "all: {all}, at step {step}: another result");
            count += 1;
        }
    }
    println!("checkpoints removed under way: {count} runs came to the same bits");
}
