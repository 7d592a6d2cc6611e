//! The output of runs and commands on terminals and in pipes, and after signals.

use std::{
    env, fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use super::{
    capture::{Pty, read_interrupting, send},
    screen::Screen,
};
use crate::support::{Place, json, program, start_until, succeed};

/// Returns a command for a run of `steps`, with paths and settings that make its output the same on every
/// machine.
fn train(place: &Place, out: &str, sizes: [&str; 2], steps: &str) -> Command {
    place.shards("train", 2, 40);
    let mut command = program();
    let [ndf, n_rkhs] = sizes;
    command.args([
        "--preset",
        "c10",
        "--ndf",
        ndf,
        "--n-rkhs",
        n_rkhs,
        "--n-depth",
        "1",
        "--batch-size",
        "16",
    ]);
    command.args(["--device", "cpu", "--precision", "f32", "--workers", "2", "--threads", "1"]);
    command.args(["--log-every", "1", "--steps", steps, "--shards", "train-<000..001>.tar", "--out", out]);
    command.current_dir(place.path("")).env("AMDIM_STREAM_CACHE", place.path("cache")).env("TERM", "xterm");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// Returns a command for a run that will be interrupted.
pub(super) fn short_run(place: &Place, out: &str) -> Command {
    train(place, out, ["4", "16"], "4000")
}

/// Masks the parts of a line that differ between runs.
fn masked(line: &str) -> String {
    let line = line.split("compute-bound").next().unwrap().split("data-bound").next().unwrap();
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let mut text = String::new();
        for letter in word.chars() {
            match letter {
                '█' | '░' => text.push('░'),
                '0'..='9' | '.' if text.ends_with('N') => {}
                '0'..='9' => text.push('N'),
                other => text.push(other),
            }
        }
        words.push(if words.last().is_some_and(|before| before == "eta") { "T".to_owned() } else { text });
    }
    // The signal may arrive in a step or between two, and the message differs. The tests of `run::stop` check both messages.
    words.join(" ").replace("INFO saving step N;", "INFO finishing step N, then saving;")
}

/// Masks lines, and removes consecutive duplicates. Of the verdict on the run, which depends on its numbers, it leaves a mark,
/// and of the word on the report, which a slow machine does not wait for, too.
fn all_masked(lines: &[String]) -> String {
    let mark = |line: &String| match line {
        line if line.starts_with("- ") || line.starts_with("  ") => "(verdict)\n".to_owned(),
        line if line.contains("report") => "(report)\n".to_owned(),
        line => masked(line) + "\n",
    };
    let mut lines: Vec<_> = lines.iter().map(mark).collect();
    lines.dedup();
    lines.concat()
}

fn compare(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden_terminal").join(name);
    if env::var_os("AMDIM_WRITE_GOLDEN").is_some() {
        fs::write(&path, shown).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert!(golden == shown, "{} holds\n{golden}\nbut this was shown:\n{shown}", path.display());
}

#[test]
fn the_output_of_an_interrupted_run_fits_terminals_of_four_widths() {
    for columns in [40, 60, 80, 200] {
        let place = Place::new();
        let (mut child, mut output) = Pty::open(columns).start(&mut short_run(&place, "run"));
        let bytes = read_interrupting(&child, &mut output, Some("loss"));
        assert_eq!(child.wait().unwrap().code(), Some(130), "{bytes}");
        let mut screen = Screen::new(columns.into());
        screen.show(&bytes);
        for line in &screen.drawn_over {
            assert!(line.chars().count() < columns.into(), "{columns} columns have no room for `{line}`");
        }
        // Only the reset and the colours of themes are used, without black, which may be the background.
        assert!(screen.styles.iter().all(|style| matches!(style, 0 | 31..=37)), "{:?}", screen.styles);
        assert!(screen.styles.iter().any(|style| matches!(style, 31..=37)), "nothing is coloured: {bytes}");
        let shown = format!(
            "drawn over, one after the other:\n\n{}\nleft in the end:\n\n{}",
            all_masked(&screen.drawn_over),
            all_masked(&screen.lines())
        );
        compare(&format!("{columns}-columns.txt"), &shown);
    }
}

#[test]
fn a_terminal_without_colours_gets_plain_lines() {
    for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1"), ("CLICOLOR", "0")] {
        let place = Place::new();
        let mut command = short_run(&place, "run");
        let (mut child, mut output) = Pty::open(80).start(command.env(name, value));
        let text = read_interrupting(&child, &mut output, Some("loss")).replace("\r\n", "\n");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
        assert!(!text.contains(['\r', '\x1b']), "{name}: {text:?}");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        compare("plain-terminal.txt", &all_masked(&lines));
    }
}

#[test]
fn a_pipe_gets_plain_lines_and_a_result_as_json() {
    let place = Place::new();
    let mut command = short_run(&place, "run");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = child.stderr.take().unwrap();
    let text = read_interrupting(&child, &mut messages, Some("loss"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(!text.contains(['\r', '\x1b']), "{text:?}");
    let standing: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(standing["step"].as_u64() > Some(0), "{standing}");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    compare("pipe.txt", &all_masked(&lines));
}

#[test]
fn signals_of_a_closed_terminal_and_of_slurm_save_the_run() {
    let place = Place::new();
    // A terminal that is closed sends SIGHUP, and its shell sends it again; Slurm sends SIGTERM after SIGUSR1.
    for (first, second, name) in [
        (Signal::HUP, Signal::HUP, "hup"),
        (Signal::USR1, Signal::TERM, "usr1"),
        (Signal::TERM, Signal::HUP, "term"),
        (Signal::USR2, Signal::USR2, "usr2"),
    ] {
        let mut command = short_run(&place, name);
        let mut child = start_until(&mut command, &place.path(name), 1);
        if first == second {
            send(&child, first);
            thread::sleep(Duration::from_millis(20)); // two simultaneous signals would count as one
            send(&child, second);
        } else {
            // Both signals are pending when the process continues.
            for signal in [Signal::STOP, first, second, Signal::CONT] {
                send(&child, signal);
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        assert!(fs::read_dir(place.path(name).join("checkpoints")).unwrap().count() > 0, "{name}");
    }
}

#[test]
fn a_run_started_with_ignored_signals_ignores_them() {
    let place = Place::new();
    let trained = train(&place, "run", ["4", "16"], "30");
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""])
        .arg(trained.get_program())
        .args(trained.get_args());
    command.current_dir(place.path("")).stdin(Stdio::null());
    command.env("AMDIM_STREAM_CACHE", place.path("cache"));
    let mut child = start_until(&mut command, &place.path("run"), 1);
    for signal in [Signal::HUP, Signal::INT] {
        send(&child, signal);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(json(&place.path("run/manifest.json"))["steps"], 30);
}

#[test]
fn a_second_ctrl_c_ends_the_run_immediately_and_says_what_is_lost() {
    let place = Place::new();
    let mut command = train(&place, "run", ["32", "256"], "4000"); // a step and a checkpoint take a while
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = child.stderr.take().unwrap();
    // The run may not have noticed yet that the third step is over, although its numbers are recorded.
    let recorded = || fs::read_to_string(place.path("run/metrics.jsonl")).unwrap_or_default().lines().count();
    while recorded() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before the signal");
        thread::sleep(Duration::from_millis(5));
    }
    send(&child, Signal::INT);
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.contains("press Ctrl-C again") {
        let count = messages.read(&mut piece).unwrap();
        assert!(count > 0, "no answer to the first signal: {text}");
        text += &String::from_utf8_lossy(&piece[..count]);
    }
    // A wrapper may forward one Ctrl-C twice, so a second one counts only after a pause. The run is stopped meanwhile.
    send(&child, Signal::STOP);
    thread::sleep(Duration::from_millis(300));
    for signal in [Signal::INT, Signal::CONT] {
        send(&child, signal);
    }
    text += &read_interrupting(&child, &mut messages, None);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.contains("left without saving: ") && text.contains("`run` has no checkpoint yet"), "{text}");
    assert!(!place.path("run/checkpoints/step-00000001").exists());
}

#[test]
fn an_interrupted_command_leaves_no_partial_file() {
    let place = Place::new();
    let mut command = program();
    command
        // With one shard, no other one can be started while the process ends.
        .args(["synth", "--side", "32", "--count", "1000000", "--shards", "1", "--out"])
        .arg(place.path("out"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let names = || {
        let entries = fs::read_dir(place.path("out")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    while !names().iter().any(|name| name.contains(".tar.")) {
        assert!(child.try_wait().unwrap().is_none(), "the command ended before the signal");
        thread::sleep(Duration::from_millis(5));
    }
    send(&child, Signal::INT);
    let mut messages = child.stderr.take().unwrap();
    let text = read_interrupting(&child, &mut messages, None);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.contains("ended by Ctrl-C: not all shards are written"), "{text}");
    assert_eq!(names(), ["classes.txt"]);
}

/// Returns the lines that a command shows on a terminal.
fn on_terminal(command: &mut Command) -> String {
    let (mut child, mut output) = Pty::open(120).start(command.env("TERM", "xterm").env_remove("NO_COLOR"));
    let text = read_interrupting(&child, &mut output, None);
    assert!(child.wait().unwrap().success(), "{text}");
    let mut screen = Screen::new(120);
    screen.show(&text);
    screen.lines().join("\n")
}

#[test]
fn results_are_words_on_a_terminal_and_json_elsewhere_or_with_a_flag() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    let has_json = |text: &str| {
        text.lines().any(|line| serde_json::from_str::<Value>(line).is_ok_and(|it| it.is_object()))
    };
    for arguments in [
        "--preset c10 --ndf 4 --n-rkhs 16 --n-depth 1 --batch-size 16 --device cpu --steps 2 --out run --shards train-000.tar",
        "plan --no-measure --out run --shards train-000.tar",
        "eval knn --device cpu --checkpoint run --val-shards train-000.tar",
        "embed --device cpu --checkpoint run --shards train-000.tar --out NEW",
        "export --checkpoint run --out NEW.safetensors",
        "verify --shards train-000.tar",
        "show --shards train-000.tar --sample 00003 --out NEW.png",
        "synth --side 32 --count 4 --shards 1 --out NEW-drawn",
    ] {
        let command = |new: &str, more: &[&str]| {
            let mut command = program();
            command.args(arguments.replace("NEW", new).split(' ')).args(more).current_dir(place.path(""));
            command.env("AMDIM_STREAM_CACHE", place.path("cache"));
            command
        };
        let shown = on_terminal(&mut command("first", &[]));
        assert!(!has_json(&shown) && !shown.is_empty(), "{arguments}: {shown}");
        assert!(has_json(&succeed(&mut command("second", &[])).stdout), "{arguments}");
        assert!(has_json(&on_terminal(&mut command("third", &["--json"]))), "{arguments}");
    }
}
