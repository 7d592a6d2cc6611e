//! Tiny datasets, and the program as a process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use pipeline::Rgb;
use serde_json::Value;
use shards::ShardWriter;
use tempfile::TempDir;

/// A temporary folder for all files of one test.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes shards `name-000.tar` and so on of `per_shard` labelled images each. Returns the pattern that
    /// names them.
    pub(crate) fn shards(&self, name: &str, shards: usize, per_shard: usize) -> String {
        for shard in 0..shards {
            let samples = (0..per_shard).map(|k| {
                let number = shard * per_shard + k;
                Entry {
                    key: format!("{number:05}"),
                    image: jpeg(number),
                    label: Some((number % 3).to_string()),
                }
            });
            self.write(&format!("{name}-{shard:03}.tar"), samples);
        }
        self.pattern(name, shards)
    }

    pub(crate) fn pattern(&self, name: &str, shards: usize) -> String {
        self.path(&format!("{name}-<000..{:03}>.tar", shards - 1)).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, samples: impl IntoIterator<Item = Entry>) {
        let mut writer = ShardWriter::create(self.path(name)).unwrap();
        for sample in samples {
            let mut members = vec![("jpg", sample.image.as_slice())];
            if let Some(label) = &sample.label {
                members.push(("cls", label.as_bytes()));
            }
            writer.append(&sample.key, &members).unwrap();
        }
        writer.finish().unwrap();
    }

    /// Returns a command that trains a tiny model on shards of this place and records every step.
    pub(crate) fn train(&self, pattern: &str, out: &str, more: &[&str]) -> Command {
        self.train_recording(1, pattern, out, more)
    }

    /// Returns a command that trains a tiny model and makes a record of so many steps each.
    pub(crate) fn train_recording(&self, every: u64, pattern: &str, out: &str, more: &[&str]) -> Command {
        let mut command = program();
        command.args([
            "--preset",
            "c10",
            "--ndf",
            "4",
            "--n-rkhs",
            "16",
            "--n-depth",
            "1",
            "--batch-size",
            "16",
        ]);
        command.args(["--device", "cpu", "--log-every", &every.to_string(), "--shards", pattern]);
        command.arg("--out").arg(self.path(out)).args(more);
        command.env("AMDIM_STREAM_CACHE", self.path("cache"));
        command
    }
}

/// A sample to be written.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) image: Vec<u8>,
    pub(crate) label: Option<String>,
}

/// Returns an image of 40×36 pixels that is different for each number.
pub(crate) fn jpeg(number: usize) -> Vec<u8> {
    let (width, height) = (40, 36);
    let pixel = |at: usize| {
        let (x, y) = (at % width, at / width);
        let wave = ((x * (1 + number % 5) + y * (1 + number % 7)) % 32 * 8) as u8;
        [wave, (number * 37 % 256) as u8 ^ wave, (y * 7) as u8]
    };
    let pixels = (0..width * height).flat_map(pixel).collect();
    pipeline::encode_jpeg(&Rgb { width: width as u32, height: height as u32, pixels }, 90).unwrap()
}

pub(crate) fn program() -> Command {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(listen);
    let mut command = Command::new(env!("CARGO_BIN_EXE_amdim-stream"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("OMP_NUM_THREADS");
    command
}

/// Resets signals to their defaults. Processes inherit ignored signals, and tests that a script started with
/// `&` ignore Ctrl-C.
#[expect(unsafe_code, reason = "there is no safe way to reset a signal to its default")]
fn listen() {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: no handler is installed, and SIG_DFL is valid for every signal.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

pub(crate) fn succeed(command: &mut Command) -> Said {
    let said = run(command);
    assert_eq!(said.code, Some(0), "{command:?}\n{}", said.stderr);
    said
}

/// Returns the contents of the tensor files of a run's checkpoint at this step.
pub(crate) fn tensors(run: &Path, step: u64) -> [Vec<u8>; 2] {
    let folder = run.join(format!("checkpoints/step-{step:08}"));
    ["model.safetensors", "optimizer.safetensors"].map(|name| {
        fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    })
}

/// Returns the objects in a file of JSON lines.
pub(crate) fn lines(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the largest step that the run has logged.
fn logged(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64();
    text.lines().filter_map(step).max().unwrap_or(0)
}

/// Returns the JSON in a file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Starts the command and waits until it has logged a step, or has ended.
pub(crate) fn start_until(command: &mut Command, folder: &Path, step: u64) -> Child {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while logged(folder) < step && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "no step {step} in five minutes");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Runs a script in `tests/python` in the Python that `tools/python.sh` sets up. Returns its output.
pub(crate) fn python(script: &str, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".python");
    assert!(python.exists(), "no `.python`: `make test` sets it up once, and so does tools/python.sh");
    let script = root.join("tests/python").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
