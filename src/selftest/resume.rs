//! A resumed run beside an uninterrupted one.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use super::check::{Found, Options};

/// The program itself, in a folder of its own.
struct Runs {
    program: PathBuf,
    folder: TempDir,
    device: String,
}

impl Runs {
    /// Makes a small dataset in a new folder.
    fn new(device: Device) -> Result<Self> {
        let program = env::current_exe()?;
        let runs = Self { program, folder: tempfile::tempdir()?, device: torchkit::name(device) };
        runs.call(&["synth", "--out", "d", "--side", "40", "--count", "64", "--shards", "1"])?;
        Ok(runs)
    }

    fn call(&self, words: &[&str]) -> Result<()> {
        let output = Command::new(&self.program)
            .args(words)
            .current_dir(self.folder.path())
            .output()
            .with_context(|| format!("cannot start `{}`", self.program.display()))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {}", stderr.lines().last().unwrap_or("it failed"));
        Ok(())
    }

    /// Starts or resumes the run `out` of eight steps.
    fn train(&self, out: &str, checkpoint_every: &str) -> Result<()> {
        let fixed = "--shards d/train-000.tar --preset c10 --ndf 8 --n-rkhs 32 --batch-size 16 --precision f32 --epochs 2";
        let mut words: Vec<_> = fixed.split(' ').chain(["--device", &self.device, "--out", out]).collect();
        words.extend(["--checkpoint-every", checkpoint_every]);
        self.call(&words)
    }

    fn checkpoint(&self, out: &str, step: u64) -> PathBuf {
        self.folder.path().join(format!("{out}/checkpoints/step-{step:08}"))
    }

    fn read(&self, out: &str, step: u64, file: &str) -> Result<BTreeMap<String, Tensor>> {
        Ok(Tensor::read_safetensors(self.checkpoint(out, step).join(file))?.into_iter().collect())
    }

    /// Returns the difference of the tensors of both runs, as a share of the way that they went since step 4.
    fn off(&self, file: &str, prefix: &str) -> Result<f64> {
        let whole = self.read("whole", 8, file)?;
        let (parts, before) = (self.read("parts", 8, file)?, self.read("parts", 4, file)?);
        ensure!(whole.keys().eq(parts.keys()) && !whole.is_empty(), "{file}: other names");
        let (off, way) = (distance(&whole, &parts, prefix), distance(&whole, &before, prefix));
        ensure!(way > 0.0, "{file}: nothing has moved");
        let share = off / way;
        ensure!(
            share < 0.05 && (self.device != "cpu" || off == 0.0),
            "{file}: off by {share:.1e} of the way"
        );
        Ok(share)
    }
}

/// Returns the 2-norm of the differences of all trained tensors, or their moments, whose name has the prefix.
fn distance(a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>, prefix: &str) -> f64 {
    let is_trained =
        |name: &str| name.starts_with(prefix) && !name.contains("running_") && !name.contains("tracked");
    let squares = a.iter().filter(|(name, _)| is_trained(name)).map(|(name, tensor)| {
        let difference = (tensor - &b[name]).to_kind(Kind::Double);
        difference.square().sum(Kind::Double).double_value(&[])
    });
    squares.sum::<f64>().sqrt()
}

/// Compares a run of eight steps with one that is resumed after four, both by the program itself.
pub(super) fn resume(options: &Options) -> Result<Found> {
    let runs = Runs::new(options.device)?;
    runs.train("whole", "8")?;
    runs.train("parts", "4")?;
    // The run goes on from the checkpoint of step 4 when that of step 8 is gone.
    fs::remove_dir_all(runs.checkpoint("parts", 8))?;
    runs.train("parts", "4")?;
    let parameters = runs.off("model.safetensors", "encoder.")?;
    let moments = runs.off("optimizer.safetensors", "")?;
    Ok(Found::Figures(json!({"parameters_off": parameters, "moments_off": moments})))
}
