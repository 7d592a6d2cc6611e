//! Handing a finished run's encoder on: exported under a dated name, checked, and made the latest by one rename.

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
    exchange::{export, import},
    exit::Code,
    failure,
    files::{self, Partial},
    hint::WithHint,
    network::Network,
};

/// The link to what was promoted last.
const LATEST: &str = "latest";
/// The encoder's file in a promoted folder.
const ENCODER: &str = "encoder.safetensors";
/// What [`Promotion`] says, beside it.
const RECORD: &str = "promotion.json";

/// What became of a run that was to be promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// The folder of all promotions.
    pub folder: PathBuf,
    /// The conditions.
    pub gates: Vec<String>,
    /// The folder, in the one of all promotions; none when the run did not pass. A run that is there since an earlier start
    /// stays, even if it does not pass the gates of a later one.
    pub name: Option<String>,
    /// The conditions that did not hold, each as a clause.
    pub refused: Vec<String>,
    /// When it was.
    pub time: Timestamp,
    /// The run folder.
    pub run: PathBuf,
    /// The step of its checkpoint.
    pub step: u64,
    /// The checkpoint's checksum.
    pub checksum: String,
    /// The numbers it was judged by.
    pub metrics: Metrics,
    /// The numbers of what was the latest before it.
    #[serde(default)]
    pub previous: Option<Metrics>,
    /// What tells the validation samples from others, where there were any.
    pub validation: Option<String>,
}

impl Promotion {
    /// Whether this is what became of a promotion to that folder behind those gates, and is there still.
    pub fn is_of(&self, folder: &Path, gates: &[Gate]) -> bool {
        let is_there = self.name.as_ref().is_none_or(|name| folder.join(name).exists());
        is_there && self.folder == resolved(folder) && self.gates == texts(gates)
    }
}

/// A folder by the one name that it has, however it was written.
fn resolved(folder: &Path) -> PathBuf {
    let absolute = || std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    folder.canonicalize().unwrap_or_else(|_| absolute())
}

fn texts(gates: &[Gate]) -> Vec<String> {
    gates.iter().map(ToString::to_string).collect()
}

/// Where finished encoders go.
#[derive(Debug)]
pub struct Promotions<'a> {
    folder: &'a Path,
}

impl<'a> Promotions<'a> {
    /// Those in a folder, which need not exist.
    pub fn of(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Makes the folder, and makes sure that it can be written to: said before the run rather than after it.
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

    /// What the link is to take the place of has to be a link.
    fn check_link(&self) -> Result<()> {
        let latest = self.folder.join(LATEST);
        if latest.is_symlink() || !latest.exists() {
            return Ok(());
        }
        Err(failure!("`{}` is no link", latest.display(); "move it away"))
    }

    /// Judges a run by the gates; if it passes, its encoder becomes the latest one. `metrics` and `validation` are its own.
    ///
    /// # Errors
    ///
    /// Where files cannot be read or written, or the export is not what was trained. Then the latest one is as it was, or, where
    /// only its name could not be brought onto the disk, this one: it is found there when this is called again.
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
        if let Some(before) = before.as_ref().filter(|before| before.validation != validation)
            && !gates.is_empty()
        {
            tracing::warn!(
                "`{}` was judged by other validation samples",
                before.name.as_deref().unwrap_or(LATEST)
            );
        }
        let run = resolved(run);
        // Promoted under other gates, or by a process that was killed before it could note it.
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

    /// Keeps other processes out until the result is dropped, and removes what killed ones left half-written.
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
                let _ = fs::remove_dir_all(entry.path()); // in nobody's way
            }
        }
        Ok(lock)
    }

    /// What was promoted last.
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

    /// Writes the folder of a promotion and lets the link lead to it.
    fn place(&self, promotion: &mut Promotion, checkpoint: &Loaded) -> Result<()> {
        let name = self.free_name(promotion.time);
        promotion.name = Some(name.clone());
        let partial = Partial::under(&self.folder.join(&name), self.folder.join(format!(".partial-{name}")));
        write(partial.path(), promotion, checkpoint)?;
        partial.finish()?;
        self.switch(&name)
    }

    /// The date, and a number where that second has a promotion already.
    fn free_name(&self, time: Timestamp) -> String {
        let date = time.strftime("%Y-%m-%dT%H%M%SZ").to_string();
        let numbered = (2..).map(|number| format!("{date}-{number}"));
        let mut names = std::iter::once(date.clone()).chain(numbered);
        names.find(|name| !self.folder.join(name).exists()).unwrap_or(date)
    }

    /// Lets the link lead to a promotion, which is removed where that cannot be.
    fn switch(&self, name: &str) -> Result<()> {
        let latest = self.folder.join(LATEST);
        let switch = || -> Result<()> {
            self.check_link()?;
            let new = Partial::under(&latest, self.folder.join(".latest.new"));
            new.link_to(Path::new(name))?;
            Ok(new.finish()?)
        };
        switch().inspect_err(|_| {
            // The name may be there, but not on the disk yet.
            if fs::read_link(&latest).ok().as_deref() != Some(Path::new(name)) {
                let _ = fs::remove_dir_all(self.folder.join(name));
            }
        })
    }
}

/// Writes the encoder and what is to be said of it, and reads the encoder back.
fn write(folder: &Path, promotion: &Promotion, checkpoint: &Loaded) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir(folder)?;
    let encoder = folder.join(ENCODER);
    export::write(checkpoint, &encoder, &export::Contents::default())?;
    check(&encoder, checkpoint).context("what was exported is not what was trained")?;
    files::replace(&folder.join(RECORD), &serde_json::to_vec_pretty(promotion)?)?;
    Ok(())
}

/// Loads an export as others would, and compares every tensor, and the features of some images, with the checkpoint's.
fn check(file: &Path, checkpoint: &Loaded) -> Result<()> {
    let exported = import::open(file)?;
    let kept = Network::new(&checkpoint.state.config, None, Device::Cpu)?;
    checkpoint.restore_encoder(&kept.tensors())?;
    let tensors = exported.tensors();
    for (name, tensor) in kept.tensors().into_iter().filter(|(name, _)| name.starts_with("encoder.")) {
        ensure!(tensors.get(&name).is_some_and(|other| other.equal(&tensor)), "`{name}` differs");
    }
    let side = i64::from(checkpoint.state.config.preset.side());
    let images = Tensor::randn([2, 3, side, side], (Kind::Float, Device::Cpu));
    let features = |network: &Network| tch::no_grad(|| network.encoder().features(&images, false));
    ensure!(features(&exported).equal(&features(&kept)), "features of the same images differ");
    Ok(())
}
