//! Saving a run so that it can go on as if it had never stopped, and finding the last good save.
//!
//! A checkpoint is a folder `step-00000500` with `model.safetensors` (parameters and statistics under the reference's
//! names), `optimizer.safetensors` (moments) and `state.json` (all else, with the checksums of all three). It is
//! written beside, synced and renamed, so that a folder of that name is complete.

mod tensors;

pub(crate) use self::tensors::kind_of;
pub use self::tensors::{Named, hash};

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use shards::{Position, ShardSet};

use crate::{
    config::Config,
    failure,
    files::{self, Partial},
    hint::WithHint,
    usage,
};

/// What resuming needs beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Updates made.
    pub step: u64,
    /// Where the samples stand after the last batch trained on.
    pub position: Position,
    /// The set trained on.
    pub data: DataIdentity,
    /// Classes of the probes; none without probes.
    pub classes: Option<u32>,
    /// Their names, by label; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The resolved configuration.
    pub config: Config,
}

/// What tells one set of samples from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataIdentity {
    /// [`shards::ShardSet::digest`].
    pub digest: u64,
    /// [`shards::ShardSet::len`].
    pub samples: u64,
}

impl DataIdentity {
    /// That of a set.
    pub fn of(set: &ShardSet) -> Self {
        Self { digest: set.digest(), samples: set.len() }
    }

    /// Makes sure that a checkpoint which was made on this set can go on on another: a position means nothing in another one.
    ///
    /// # Errors
    ///
    /// Where the sets differ.
    pub fn check(self, now: Self) -> Result<()> {
        if self == now {
            return Ok(());
        }
        if self.samples == 0 {
            return Err(usage!(
                "the folder holds an imported encoder, which cannot be trained on there";
                "name another folder with --out, and the imported one with --warm-start"
            ));
        }
        Err(usage!(
            "the training shards are not the ones that this run began with ({} samples then, {} now)", self.samples, now.samples;
            "name another folder with --out for a run on other shards, or keep this run as the folder's `previous` one with --if-changed"
        ))
    }
}

/// `state.json`: the state, what it says of the tensor files, and a checksum over both.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    checksum: String,
    content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    state: State,
    tensors: BTreeMap<String, String>,
}

/// Changes whenever the state does, the configuration included.
const VERSION: u32 = 4;
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const BEST: &str = "best.json";

/// Which checkpoints stay.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The latest so many.
    pub keep: usize,
    /// And those whose step is a multiple of this; 0 for none.
    pub keep_every: u64,
}

/// The checkpoint that did best by a metric; it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// The metric's name in the records.
    pub metric: String,
    /// What it was then.
    pub value: f64,
}

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// The checkpoints below a run folder.
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join("checkpoints") }
    }

    /// Writes a checkpoint, complete on the disk when this returns, and removes those that need not stay.
    pub fn save(
        &self,
        state: &State,
        model: &Named,
        optimizer: &Named,
        retention: Retention,
    ) -> Result<PathBuf> {
        let path = self.folder.join(folder_name(state.step));
        let partial = Partial::under(&path, self.folder.join(format!(".partial-{}", state.step)));
        let written = self.make_folder().and_then(|()| write(partial.path(), state, model, optimizer));
        let written = written.and_then(|()| {
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            Ok(partial.finish()?)
        });
        written
            .with_context(|| format!("cannot write the checkpoint `{}`", path.display()))
            .with_write_hint()?;
        self.prune(retention);
        Ok(path)
    }

    /// Lets all checkpoints before this one, and then it as well, say that their run is as long as the state's; their tensors stay.
    /// Whichever of them the run goes on from, it keeps its length.
    pub fn restate_length(&self, loaded: &Loaded, state: &State) -> Result<()> {
        for step in self.steps()?.into_iter().filter(|&step| step < state.step) {
            let earlier = Loaded::open(&self.folder.join(folder_name(step)));
            let Ok(earlier) = earlier else { continue }; // it is damaged, and nothing goes on from there
            let mut config = earlier.state.config.clone();
            config.train.steps = state.config.train.steps;
            config.train.epochs = state.config.train.epochs;
            config.train.lengthened.clone_from(&state.config.train.lengthened);
            Self::restate(&earlier, &State { config, ..earlier.state.clone() })?;
        }
        Self::restate(loaded, state)
    }

    /// Lets a checkpoint say something else of its run; its tensors stay.
    fn restate(loaded: &Loaded, state: &State) -> Result<()> {
        let tensors = [(MODEL, &loaded.model), (OPTIMIZER, &loaded.optimizer)];
        let tensors = tensors.map(|(name, bytes)| (name.to_owned(), hash(bytes)));
        let (text, path) = (sealed(state, tensors.into())?, loaded.path.join(STATE));
        files::replace(&path, text.as_bytes()).or_cannot_write(&path)
    }

    /// Makes the folder of the checkpoints, not that of the run: where that was taken away, the rest of it is gone as well, and
    /// a run that goes on would leave checkpoints without records.
    fn make_folder(&self) -> Result<()> {
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Steps of the checkpoints that are there, ascending.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries
                .with_context(|| format!("cannot list `{}`", self.folder.display()))
                .with_hint(|| "check its permissions, or name another folder with --out")
                .with_code_of_place()?,
        };
        let step = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let step = name.to_str()?.strip_prefix("step-")?.parse().ok()?;
            (name.to_str()? == folder_name(step)).then_some(step)
        };
        let mut steps: Vec<u64> = entries.flatten().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The step of the latest checkpoint, whole or not.
    pub fn last_step(&self) -> Option<u64> {
        self.steps().ok()?.pop()
    }

    /// Renames the checkpoints after `step`, which are damaged, so that what the run makes anew takes their place.
    pub fn set_aside_after(&self, step: u64) -> Result<()> {
        for later in self.steps()?.into_iter().filter(|&later| later > step) {
            let name = folder_name(later);
            let aside = self.folder.join(format!("damaged-{name}"));
            let _ = fs::remove_dir_all(&aside); // of an earlier time
            files::move_to(&self.folder.join(&name), &aside)
                .with_context(|| format!("cannot set aside `{name}`"))?;
        }
        Ok(())
    }

    /// The best checkpoint so far, where a metric was chosen.
    pub fn best(&self) -> Option<Best> {
        let best: Best = serde_json::from_slice(&fs::read(self.folder.join(BEST)).ok()?).ok()?;
        self.folder.join(folder_name(best.step)).exists().then_some(best)
    }

    /// Where the best checkpoint so far lies.
    pub fn best_path(&self) -> Option<PathBuf> {
        self.best().map(|best| self.folder.join(folder_name(best.step)))
    }

    /// Notes that a step, which has a checkpoint, is the best so far.
    pub fn mark_best(&self, best: &Best) -> Result<()> {
        let written = serde_json::to_vec(best).map_err(io::Error::from);
        let written = written.and_then(|text| files::replace(&self.folder.join(BEST), &text));
        self.marked(written)?;
        self.link_best()
    }

    /// Lets `checkpoints/best` lead to the best checkpoint so far, if there is one.
    pub fn link_best(&self) -> Result<()> {
        let (Some(best), link) = (self.best(), self.folder.join("best")) else { return Ok(()) };
        let target = PathBuf::from(folder_name(best.step));
        if fs::read_link(&link).is_ok_and(|leads_to| leads_to == target) {
            return Ok(());
        }
        let new = Partial::under(&link, self.folder.join("best.new"));
        self.marked(new.link_to(&target).and_then(|()| new.finish()))
    }

    fn marked(&self, result: io::Result<()>) -> Result<()> {
        result
            .with_context(|| format!("cannot note the best checkpoint in `{}`", self.folder.display()))
            .with_write_hint()
    }

    /// Removes what need not stay, also what a killed process left half-written.
    fn prune(&self, retention: Retention) {
        let steps = self.steps().unwrap_or_default();
        let old = &steps[..steps.len().saturating_sub(retention.keep)];
        let best = self.best().map(|best| best.step);
        let is_kept = |step: u64| retention.keep_every > 0 && step.is_multiple_of(retention.keep_every);
        let stays = |step: u64| is_kept(step) || best == Some(step);
        for step in old.iter().filter(|&&step| !stays(step)) {
            self.remove(&folder_name(*step));
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".partial-") {
                self.remove(&entry.file_name().to_string_lossy());
            }
        }
    }

    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!("cannot remove the old checkpoint `{}`: {error}", path.display());
        }
    }

    /// The latest whole checkpoint of an earlier step.
    pub fn before(&self, step: u64) -> Result<Option<Loaded>> {
        let mut earlier = self.steps()?.into_iter().rev().filter(|&other| other < step);
        Ok(earlier.find_map(|step| Loaded::open(&self.folder.join(folder_name(step))).ok()))
    }

    /// What the latest checkpoint says of itself; its tensors are not read. None when there is none.
    ///
    /// # Errors
    /// If that checkpoint's `state.json` is damaged: an earlier one may be whole, which [`latest`](Self::latest) finds.
    pub fn latest_state(&self) -> Result<Option<State>> {
        let Some(&step) = self.steps()?.last() else { return Ok(None) };
        let path = self.folder.join(folder_name(step));
        let sealed = fs::read(path.join(STATE)).context(STATE).and_then(|sealed| content(&sealed));
        let content = sealed.with_context(|| format!("cannot read the checkpoint `{}`", path.display()))?;
        Ok(Some(content.state))
    }

    /// The latest checkpoint that is whole: none when there is none at all, an error when all are damaged.
    pub fn latest(&self) -> Result<Option<Loaded>> {
        let steps = self.steps()?;
        for step in steps.iter().rev() {
            match Loaded::open(&self.folder.join(folder_name(*step))) {
                Ok(loaded) => return Ok(Some(loaded)),
                Err(error) => tracing::warn!("skipping a checkpoint: {error:#}"),
            }
        }
        if steps.is_empty() {
            return Ok(None);
        }
        Err(failure!(
            "no checkpoint in `{}` can be read, for the reasons above", self.folder.display();
            "restore one from a copy, or move the folder away and train a new run"
        ))
    }
}

/// Writes the files of a checkpoint into a new folder and syncs them.
pub(crate) fn write(partial: &Path, state: &State, model: &Named, optimizer: &Named) -> Result<()> {
    if partial.exists() {
        fs::remove_dir_all(partial)?;
    }
    fs::create_dir(partial)?; // anew, so that no links are in it
    let mut checksums = BTreeMap::new();
    for (name, named) in [(MODEL, model), (OPTIMIZER, optimizer)] {
        checksums.insert(name.to_owned(), tensors::write(&partial.join(name), named)?);
    }
    let mut file = File::create(partial.join(STATE))?;
    file.write_all(sealed(state, checksums)?.as_bytes())?;
    file.sync_all()?;
    Ok(shards::sync_folder(partial)?)
}

/// The text of `state.json`, where the tensor files have these [checksums](hash) by their names.
pub fn sealed(state: &State, tensors: BTreeMap<String, String>) -> Result<String> {
    let content = Content { version: VERSION, state: state.clone(), tensors };
    Ok(serde_json::to_string_pretty(&Sealed { checksum: seal(&content)?, content })?)
}

/// A checkpoint whose checksums hold.
#[derive(Debug)]
pub struct Loaded {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub state: State,
    /// The checksum of its model.
    pub checksum: String,
    model: Vec<u8>,
    optimizer: Vec<u8>,
}

impl Loaded {
    /// Reads a checkpoint folder and checks it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path, |name| fs::read(path.join(name)))
            .with_context(|| format!("cannot read the checkpoint `{}`", path.display()))
    }

    /// Checks a checkpoint whose files `file` gives by their names.
    pub fn read(path: &Path, file: impl Fn(&str) -> io::Result<Vec<u8>>) -> Result<Self> {
        let content = content(&file(STATE).context(STATE)?)?;
        let checked = |name: &str| -> Result<Vec<u8>> {
            let bytes = file(name).with_context(|| name.to_owned())?;
            ensure!(content.tensors.get(name) == Some(&hash(&bytes)), "{name} does not match its checksum");
            Ok(bytes)
        };
        let (model, optimizer) = (checked(MODEL)?, checked(OPTIMIZER)?);
        let checksum = hash(&model);
        Ok(Self { path: path.to_owned(), state: content.state, checksum, model, optimizer })
    }

    /// Its model's tensors as they are stored.
    pub fn model(&self) -> Result<safetensors::SafeTensors<'_>> {
        Ok(safetensors::SafeTensors::deserialize(&self.model)?)
    }

    /// Copies the parameters and statistics into the model's tensors of the same names and shapes.
    pub fn restore_model(&self, model: &Named) -> Result<()> {
        self.restore(&self.model, model, MODEL)
    }

    /// Copies the encoder alone into a model of the same size.
    pub fn restore_encoder(&self, model: &Named) -> Result<()> {
        let encoder = model.iter().filter(|(name, _)| name.starts_with("encoder."));
        let encoder = encoder.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        tensors::restore_some(&self.model, &encoder)
            .with_context(|| format!("`{}`", self.path.join(MODEL).display()))
    }

    /// Copies the moments into the optimizer's tensors of the same names and shapes.
    pub fn restore_optimizer(&self, optimizer: &Named) -> Result<()> {
        self.restore(&self.optimizer, optimizer, OPTIMIZER)
    }

    fn restore(&self, bytes: &[u8], named: &Named, file: &str) -> Result<()> {
        tensors::restore(bytes, named).with_context(|| format!("`{}`", self.path.join(file).display()))
    }
}

/// The checkpoint that a path means: a checkpoint folder itself, or the latest one of a run folder.
pub fn find(path: &Path) -> Result<Loaded> {
    if path.join(STATE).exists() {
        return Loaded::open(path);
    }
    if path.is_file() {
        return Err(of_a_file(path));
    }
    match Checkpoints::of(path).latest()? {
        Some(loaded) => Ok(loaded),
        None if Checkpoints { folder: path.to_owned() }.last_step().is_some() => Err(usage!(
            "`{}` holds the checkpoints of a run", path.display();
            "name the run folder, `{}`, or one of the step-… folders",
            path.parent().filter(|run| !run.as_os_str().is_empty()).unwrap_or(Path::new(".")).display()
        )),
        None if !path.exists() => Err(usage!(
            "there is no checkpoint in `{}`, because that does not exist", path.display();
            "name a run folder or one of its checkpoints/step-… folders"
        )),
        None => Err(usage!(
            "there is no checkpoint in `{}`", path.display();
            "name a run folder or one of its checkpoints/step-… folders"
        )),
    }
}

/// Where a run is wanted, and a file was named.
fn of_a_file(file: &Path) -> anyhow::Error {
    let shown = file.display();
    let folder = file.parent().filter(|folder| folder.join(STATE).exists());
    match (folder, file.extension().and_then(|end| end.to_str())) {
        (Some(folder), _) => {
            usage!("`{shown}` is a file of a checkpoint"; "name its folder, `{}`", folder.display())
        }
        (None, Some("safetensors" | "pth" | "pt" | "tar" | "ckpt" | "bin")) => usage!(
            "`{shown}` is a file, not a run folder";
            "make a run folder of it: amdim-stream import {shown} --out runs/imported"
        ),
        (None, _) => usage!(
            "`{shown}` is a file, not a run folder";
            "name a run folder or one of its checkpoints/step-… folders"
        ),
    }
}

/// What `state.json` says, once its checksum holds.
fn content(sealed: &[u8]) -> Result<Content> {
    check_version(sealed)?;
    let Sealed { checksum, content } = serde_json::from_slice(sealed).context(STATE)?;
    ensure!(checksum == seal(&content)?, "{STATE} does not match its checksum");
    Ok(content)
}

/// Says so where the state is of a version that has other fields, before they are read.
fn check_version(sealed: &[u8]) -> Result<()> {
    let sealed: serde_json::Value = serde_json::from_slice(sealed).context(STATE)?;
    let version = &sealed["content"]["version"];
    ensure!(
        version == VERSION,
        "another version of amdim-stream wrote it: {STATE} has format {version}, this program reads {VERSION}"
    );
    Ok(())
}

fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

fn seal(content: &Content) -> Result<String> {
    Ok(hash(&serde_json::to_vec(content)?))
}

#[cfg(test)]
mod tests;
