//! Promotion of a finished run: its encoder is exported under a dated name, checked, and made the latest by
//! one rename.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::gate::{Gate, Metrics};
use crate::{
    checkpoint::Loaded,
    encoder::Mode,
    exchange::{export, import},
    exit::Code,
    failure,
    files::{self, Partial},
    hint::WithHint,
    network::Network,
};

/// The name of the link to the last promotion.
const LATEST: &str = "latest";
/// The file of the encoder in the folder of a promotion.
const ENCODER: &str = "encoder.safetensors";
/// The file of the [`Promotion`] beside it.
const RECORD: &str = "promotion.json";

/// The result of the promotion of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// The folder of all promotions.
    pub folder: PathBuf,
    /// The gates.
    pub gates: Vec<String>,
    /// The name of the promotion's folder; none if the run did not pass. A run that was promoted at an
    /// earlier start stays there, even if it does not pass the gates of a later start.
    pub name: Option<String>,
    /// The gates that do not hold, each as a clause.
    pub refused: Vec<String>,
    /// The time of the promotion.
    pub time: Timestamp,
    /// The run folder.
    pub run: PathBuf,
    /// The step of the promoted checkpoint.
    pub step: u64,
    /// The checkpoint's checksum.
    pub checksum: String,
    /// The numbers that the gates were checked with.
    pub metrics: Metrics,
    /// The numbers of the previous promotion.
    #[serde(default)]
    pub previous: Option<Metrics>,
    /// The digest of the validation samples, if there were any.
    pub validation: Option<String>,
}

impl Promotion {
    /// Returns whether this is the result of a promotion to `folder` with these gates, and still exists
    /// there.
    pub fn is_of(&self, folder: &Path, gates: &[Gate]) -> bool {
        let exists = self.name.as_ref().is_none_or(|name| folder.join(name).exists());
        exists && self.folder == resolved(folder) && self.gates == texts(gates)
    }
}

/// Returns the canonical path of a folder, or the absolute one if it does not exist.
fn resolved(folder: &Path) -> PathBuf {
    let absolute = || std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    folder.canonicalize().unwrap_or_else(|_| absolute())
}

fn texts(gates: &[Gate]) -> Vec<String> {
    gates.iter().map(ToString::to_string).collect()
}

/// A folder of promotions.
#[derive(Debug)]
pub struct Promotions<'a> {
    folder: &'a Path,
}

impl<'a> Promotions<'a> {
    /// Returns the promotions in a folder, which need not exist.
    pub fn of(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Makes the folder and checks, before the run, that promotions can be written to it.
    ///
    /// # Errors
    ///
    /// If they cannot, or if the last promotion is damaged.
    pub fn prepare(&self) -> Result<()> {
        let made = fs::create_dir_all(self.folder).and_then(|()| tempfile::tempfile_in(self.folder));
        made.with_context(|| format!("cannot write to `{}`", self.folder.display()))
            .with_hint(|| "name another folder with --promote")
            .with_code_of_place()?;
        files::check_links(self.folder)
            .with_context(|| {
                format!(
                    "cannot make the link `{LATEST}` in `{}`, whose file system has no symbolic links",
                    self.folder.display()
                )
            })
            .with_hint(|| "name another folder with --promote")
            .with_code(Code::Usage)?;
        self.check_link()?;
        self.latest().map(drop)
    }

    /// Refuses a file or folder in the place of the link.
    fn check_link(&self) -> Result<()> {
        let latest = self.folder.join(LATEST);
        if latest.is_symlink() || !latest.exists() {
            return Ok(());
        }
        Err(failure!("`{}` is not a link", latest.display(); "move it to another place"))
    }

    /// Checks the gates of a run; if they hold, its encoder becomes the latest promotion. `metrics` and
    /// `validation` are the numbers and the digest of the validation samples of the run.
    ///
    /// # Errors
    ///
    /// If files cannot be read or written, or if the export differs from the checkpoint. On an error the
    /// previous promotion stays the latest, with one exception: if only syncing the link failed, the link
    /// already points to the new promotion, and the next call detects that.
    pub fn promote(
        &self,
        gates: &[Gate],
        checkpoint: &Loaded,
        run: &Path,
        metrics: Metrics,
        validation: Option<u64>,
    ) -> Result<Promotion> {
        let _lock = self.lock()?;
        let before = self.latest()?;
        let validation = validation.map(|digest| format!("{digest:016x}"));
        if !gates.is_empty() {
            warn_of_other_samples(before.as_ref(), validation.as_ref());
        }
        let run = resolved(run);
        // The run may have been promoted with other gates, or by a process that was killed before it could
        // note that.
        let already =
            before.as_ref().filter(|before| before.checksum == checkpoint.checksum && before.run == run);
        let previous = match already {
            Some(already) => already.previous.clone(),
            None => before.as_ref().map(|before| before.metrics.clone()),
        };
        let judge = |gate: &Gate| gate.judge(&metrics, previous.as_ref()).err();
        let mut promotion = Promotion {
            folder: resolved(self.folder),
            gates: texts(gates),
            name: already.and_then(|already| already.name.clone()),
            refused: gates.iter().filter_map(judge).collect(),
            time: already.map_or_else(Timestamp::now, |already| already.time),
            run,
            step: checkpoint.state.step,
            checksum: checkpoint.checksum.clone(),
            metrics,
            previous,
            validation,
        };
        if promotion.refused.is_empty() && already.is_none() {
            self.place(&mut promotion, checkpoint)
                .with_context(|| format!("cannot promote to `{}`", self.folder.display()))
                .with_write_hint()?;
        }
        Ok(promotion)
    }

    /// Locks the folder until the result is dropped, and removes unfinished promotions of killed processes.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join(".lock");
        let lock = files::edit(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))
            .with_hint(|| "name another folder with --promote")
            .with_write_hint()?;
        if let Err(error) = flock(&lock, FlockOperation::LockExclusive) {
            tracing::warn!("cannot lock `{}`: {error}", path.display());
        }
        for entry in fs::read_dir(self.folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(".partial-") {
                let _ = fs::remove_dir_all(entry.path()); // it does no harm if it stays
            }
        }
        Ok(lock)
    }

    /// Reads the last promotion. Returns `None` if there is none.
    fn latest(&self) -> Result<Option<Promotion>> {
        let path = self.folder.join(LATEST).join(RECORD);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("cannot understand `{}`", path.display()))
                .with_hint(|| format!("let `{LATEST}` point to a complete promotion, or remove it")),
            Err(error) if error.kind() == ErrorKind::NotFound && !self.folder.join(LATEST).is_symlink() => {
                Ok(None)
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot read `{}`", path.display()))
                .with_hint(|| format!("let `{LATEST}` point to a complete promotion, or remove it")),
        }
    }

    /// Writes the folder of a promotion and points the link to it.
    fn place(&self, promotion: &mut Promotion, checkpoint: &Loaded) -> Result<()> {
        let name = self.free_name(promotion.time);
        promotion.name = Some(name.clone());
        let partial = Partial::under(&self.folder.join(&name), self.folder.join(format!(".partial-{name}")));
        write(partial.path(), promotion, checkpoint)?;
        partial.finish()?;
        self.switch(&name)
    }

    /// Returns the date as a name, with a number if that name exists already.
    fn free_name(&self, time: Timestamp) -> String {
        let date = time.strftime("%Y-%m-%dT%H%M%SZ").to_string();
        let numbered = (2..).map(|number| format!("{date}-{number}"));
        let mut names = std::iter::once(date.clone()).chain(numbered);
        names.find(|name| !self.folder.join(name).exists()).unwrap_or(date)
    }

    /// Points the link to a promotion. If that fails, the promotion is removed.
    fn switch(&self, name: &str) -> Result<()> {
        let latest = self.folder.join(LATEST);
        let switch = || -> Result<()> {
            self.check_link()?;
            let new = Partial::under(&latest, self.folder.join(".latest.new"));
            new.link_to(Path::new(name))?;
            Ok(new.finish()?)
        };
        switch().inspect_err(|_| {
            // If only the sync failed, the link points to the promotion.
            if fs::read_link(&latest).ok().as_deref() != Some(Path::new(name)) {
                let _ = fs::remove_dir_all(self.folder.join(name));
            }
        })
    }
}

/// Warns if the previous promotion was judged by other validation samples.
fn warn_of_other_samples(before: Option<&Promotion>, validation: Option<&String>) {
    if let Some(before) = before.filter(|before| before.validation.as_ref() != validation) {
        tracing::warn!(
            "`{}` was judged by other validation samples",
            before.name.as_deref().unwrap_or(LATEST)
        );
    }
}

/// Writes the encoder and the record of the promotion, and checks the encoder.
fn write(folder: &Path, promotion: &Promotion, checkpoint: &Loaded) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir(folder)?;
    let encoder = folder.join(ENCODER);
    export::write(checkpoint, &encoder, &export::Contents::default())?;
    check(&encoder, checkpoint).context("the export differs from the checkpoint")?;
    files::replace(&folder.join(RECORD), &serde_json::to_vec_pretty(promotion)?)?;
    Ok(())
}

/// Loads an export as another program does, and compares all tensors and the features of some images with
/// those of the checkpoint.
fn check(file: &Path, checkpoint: &Loaded) -> Result<()> {
    let exported = import::open(file)?;
    let kept = Network::new(&checkpoint.state.config, checkpoint.state.data.samples, None, Device::Cpu)?;
    checkpoint.restore_encoder(&kept.tensors())?;
    let tensors = exported.tensors();
    for (name, tensor) in kept.tensors().into_iter().filter(|(name, _)| name.starts_with("encoder.")) {
        ensure!(tensors.get(&name).is_some_and(|other| other.equal(&tensor)), "`{name}` differs");
    }
    let side = i64::from(checkpoint.state.config.side());
    let images = Tensor::randn([2, 3, side, side], (Kind::Float, Device::Cpu));
    let features = |network: &Network| tch::no_grad(|| network.encoder().features(&images, Mode::Evaluation));
    ensure!(features(&exported).equal(&features(&kept)), "features of the same images differ");
    Ok(())
}
