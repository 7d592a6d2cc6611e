//! `kill -9` at any moment.

use std::{fs, path::Path, thread, time::Duration};

use dataset::Random;

use crate::{
    amount,
    support::{Place, tensors},
    watched::{Ended, Watched, checkpoints, last_step, losses},
};

/// What was survived.
#[derive(Debug, Default)]
struct Count {
    kills: usize,
    starting: usize,
    writing: usize,
    runs: usize,
}

/// Starts the run and kills it at a drawn moment; nothing when it ended before.
fn kill(place: &Place, run: &Path, command: &[&str], pattern: &str, random: &mut Random) -> Option<Ended> {
    let name = run.file_name().unwrap().to_str().unwrap();
    let mut child = Watched::start(&mut place.train(pattern, name, command));
    if random.below(4) == 0 {
        thread::sleep(Duration::from_millis(random.below(700) as u64)); // mostly while it starts
    } else if random.below(3) == 0 {
        child.until(|| checkpoints(run).1 > 0); // while a checkpoint is written
        thread::sleep(Duration::from_micros(random.below(4_000) as u64));
    } else {
        // While it steps and saves. Records after the last checkpoint are dropped when it starts, so that they become fewer.
        let steps = 1 + random.below(8) as u64;
        let mut first = last_step(run);
        child.until(|| {
            let now = last_step(run);
            first = first.min(now);
            now >= first + steps
        });
        thread::sleep(Duration::from_micros(random.below(40_000) as u64));
    }
    let ended = child.kill();
    ended.is_killed().then_some(ended)
}

/// Begins and kills one run until it is finished, or killed so many times, and lets it finish then.
fn survive(place: &Place, name: &str, pattern: &str, more: &[&str], random: &mut Random, count: &mut Count) {
    let run = place.path(name);
    let kills = count.kills + amount(4, 50);
    let mut latest = 0;
    let mut check = |ended: &Ended| {
        assert!(!ended.stderr.contains("skipping a checkpoint"), "{}", ended.stderr);
        let announced = ended.announced();
        assert!(announced.is_none_or(|step| step == latest), "{latest} is complete, {}", ended.stderr);
        let (complete, partial) = checkpoints(&run);
        let last = complete.last().copied().unwrap_or(0);
        assert!(last >= latest, "a complete checkpoint is gone: {last} after {latest}");
        latest = last;
        (announced.is_none(), partial > 0)
    };
    while count.kills < kills {
        let Some(ended) = kill(place, &run, more, pattern, random) else { break };
        let (was_starting, was_writing) = check(&ended);
        count.kills += 1;
        count.starting += usize::from(was_starting);
        count.writing += usize::from(was_writing);
    }
    let ended = Ended::of(&mut place.train(pattern, name, more));
    ended.assert_done();
    check(&ended);
    count.runs += 1;
}

#[test]
fn a_run_killed_at_any_moment_loses_nothing_before_its_last_checkpoint() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let validation = place.shards("val", 1, 20);
    let steps = amount(60, 600);
    let length = ["--steps", &steps.to_string(), "--val-shards", &validation, "--best", "mlp"];
    Ended::of(&mut place.train(&pattern, "whole", &length)).assert_done();
    let (whole, expected) = (tensors(&place.path("whole"), steps as u64), losses(&place.path("whole")));
    let best = |run: &str| {
        // What the link leads to, and what is noted.
        let run = place.path(run).join("checkpoints");
        (fs::read_link(run.join("best")).unwrap(), fs::read_to_string(run.join("best.json")).unwrap())
    };
    let expected_best = best("whole");
    let (mut random, mut count) = (Random::new(&[1]), Count::default());
    while count.kills < amount(8, 200) {
        let name = format!("killed-{}", count.runs);
        let every = ["1", "5"][count.runs % 2];
        let more = [&length[..], &["--checkpoint-every", every]].concat();
        survive(&place, &name, &pattern, &more, &mut random, &mut count);
        assert!(whole == tensors(&place.path(&name), steps as u64), "{name} ended with other bits");
        assert!(expected == losses(&place.path(&name)), "{name}: a step is missing, twice there, or another");
        assert_eq!(best(&name), expected_best, "{name}");
    }
    let Count { kills, starting, writing, runs } = count;
    println!(
        "kill -9: {kills} survived, {starting} while starting, {writing} while writing a checkpoint; {runs} runs of {steps} \
         steps ended with the bits, records and best checkpoint of an undisturbed one"
    );
}
