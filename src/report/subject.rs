//! A run as the report sees it: its files, read without a lock.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;
use shards::ShardSet;

use super::{
    findings::Findings,
    state::{State, state},
};
use crate::{
    config::{self, Config},
    data::{self, Data},
    metrics::{self, Number, Record, TrainRecord, ValidationRecord, read_lines},
    run::{RunFolder, history, manifest::Manifest},
    usage,
};

/// A bad sample, or a damaged shard.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Bad {
    pub(super) shard: String,
    pub(super) offset: u64,
    pub(super) key: Option<String>,
    pub(super) reason: String,
}

/// The samples of a run, as far as they can be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets {
    pub(super) train: Option<ShardSet>,
    pub(super) validation: Option<ShardSet>,
    /// Why samples cannot be read.
    pub(super) why: Option<String>,
}

/// A run that a page is about.
#[derive(Debug, Clone)]
pub struct Subject {
    pub(super) folder: RunFolder,
    /// The name among the runs of the page.
    pub(super) name: String,
    /// All settings by their dotted keys.
    pub(super) settings: Vec<(String, String)>,
    /// The settings as this version of the program reads them.
    pub(super) config: Option<Config>,
    pub(super) train: Vec<TrainRecord>,
    pub(super) validation: Vec<ValidationRecord>,
    pub(super) bad: Vec<Bad>,
    pub(super) manifest: Option<Manifest>,
    pub(super) history: Vec<history::Event>,
    pub(super) findings: Option<Findings>,
    pub(super) state: State,
    pub(super) class_names: Vec<String>,
    pub(super) sets: Sets,
}

impl Subject {
    /// Reads a run, and opens its shards if they have not changed. It takes no lock, so the run may go on meanwhile.
    ///
    /// # Errors
    ///
    /// If the folder contains no run, or its files cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut subject = Self::without_samples(folder)?;
        subject.sets = subject.open();
        Ok(subject)
    }

    /// Reads a run whose samples are open already.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn with_data(folder: &Path, data: &Data) -> Result<Self> {
        let mut subject = Self::without_samples(folder)?;
        if !data.class_names.is_empty() {
            subject.class_names.clone_from(&data.class_names);
        }
        subject.sets =
            Sets { train: Some(data.train.clone()), validation: data.validation.clone(), why: None };
        Ok(subject)
    }

    /// Reads the files of a run, and none of its samples.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn without_samples(path: &Path) -> Result<Self> {
        let folder = RunFolder::of(path);
        if !folder.is_one() {
            return Err(usage!(
                "`{}` is not a run folder", path.display();
                "name a folder that a run has written; `amdim-stream runs {}` lists the runs below it", path.display()
            ));
        }
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for record in metrics::read(&folder.metrics)? {
            match record {
                Record::Train(record) => train.push(*record),
                Record::Validation(record) => validation.push(record),
            }
        }
        let table = fs::read_to_string(&folder.config).ok().and_then(|text| text.parse::<toml::Table>().ok());
        let config = table.as_ref().and_then(|table| Config::resolve(table).ok());
        let bad = read_lines(&folder.bad_samples)?.into_iter();
        let manifest = Manifest::read(&folder.manifest)?;
        let history = history::read(&folder.history)?;
        let state = state(&folder, manifest.as_ref(), &history);
        let class_names = folder.checkpoints.latest_state().ok().flatten().map(|state| state.class_names);
        Ok(Self {
            name: name(path),
            settings: table.as_ref().map(config::flat).unwrap_or_default(),
            config,
            train,
            validation,
            bad: bad.filter_map(|line| serde_json::from_value(line).ok()).collect(),
            manifest,
            history,
            findings: Findings::read(&folder.validation),
            state,
            class_names: class_names.unwrap_or_default(),
            sets: Sets::default(),
            folder,
        })
    }

    /// Opens the shards of the run.
    fn open(&self) -> Sets {
        let Some(config) = &self.config else {
            let why = Some("the settings of the run cannot be read".to_owned());
            return Sets { why, ..Sets::default() };
        };
        let changes = match &self.manifest {
            Some(manifest) => manifest.changes(&config.data),
            None => Ok(None),
        };
        if let Ok(Some(changes)) = changes {
            let why = Some(format!("the shards have changed since the run began ({changes})"));
            return Sets { why, ..Sets::default() };
        }
        let open = |patterns: &[String]| -> Result<ShardSet> {
            Ok(ShardSet::open(config.data.source(patterns)?, &data::index_config())?)
        };
        match open(&config.data.shards).context("the shards cannot be read") {
            Ok(train) => {
                let validation = Some(&config.data.val_shards).filter(|patterns| !patterns.is_empty());
                let validation = validation.and_then(|patterns| open(patterns).ok());
                Sets { train: Some(train), validation, why: None }
            }
            Err(error) => Sets { why: Some(crate::hint::causes(&error)), ..Sets::default() },
        }
    }

    /// Returns the value of a setting by its dotted key, without quotes.
    pub(super) fn setting(&self, key: &str) -> Option<&str> {
        let (_, value) = self.settings.iter().find(|(other, _)| other == key)?;
        Some(value.trim_matches('"'))
    }

    /// Returns the name of the method.
    pub(super) fn method(&self) -> &str {
        self.config.as_ref().map_or("?", |config| config.method.chosen().name())
    }

    /// Describes the encoder: `resnet18`, `amdim 32 × 256 × 3`.
    pub(super) fn encoder(&self) -> String {
        let Some(config) = &self.config else { return "?".to_owned() };
        match config.encoder.amdim() {
            Some(amdim) => format!("amdim {}·{}·{}", amdim.ndf, amdim.n_rkhs, amdim.n_depth),
            None => match self.setting("encoder.width") {
                Some(width) => format!("{} {width}", config.encoder.chosen().name()),
                None => config.encoder.chosen().name().to_owned(),
            },
        }
    }

    /// Returns the steps made: those of the last record or of the last checkpoint.
    pub(super) fn step(&self) -> Option<u64> {
        let recorded = self.train.last().map(|record| record.step);
        recorded
            .max(self.validation.last().map(|record| record.step))
            .max(self.folder.checkpoints.last_step())
    }

    /// Returns the last number of this kind that a validation has measured.
    pub(super) fn validated(&self, number: fn(&ValidationRecord) -> Number) -> Option<f64> {
        self.validation.iter().rev().filter_map(number).find(|value| value.is_finite())
    }

    /// Returns the steps of the whole run.
    pub(super) fn steps(&self) -> Option<u64> {
        self.manifest.as_ref().map(|manifest| manifest.steps)
    }

    /// Returns the time of the last change of the run's files.
    pub(super) fn changed(&self) -> Option<Timestamp> {
        let files = [&self.folder.metrics, &self.folder.manifest, &self.folder.config];
        let times = files.into_iter().filter_map(|path| path.metadata().ok()?.modified().ok());
        times.max().and_then(|time| Timestamp::try_from(time).ok())
    }

    /// Returns the name of a class, or its number.
    pub(super) fn class(&self, label: u32) -> String {
        self.class_names.get(label as usize).map_or_else(|| format!("class {label}"), Clone::clone)
    }

    /// Returns the number of classes, if the run has labels.
    pub(super) fn classes(&self) -> Option<u32> {
        let of_findings = self.findings.as_ref().map(|findings| findings.classes);
        let of_names = (!self.class_names.is_empty()).then_some(self.class_names.len() as u32);
        of_findings.or(of_names).or_else(|| self.sets.train.as_ref()?.classes())
    }
}

/// Returns the last part of a path, or that of the folder that it stands for.
fn name(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let last = absolute.file_name().or(path.file_name());
    last.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Gives runs of the same name longer names, by the folders that contain them.
pub(super) fn tell_apart(subjects: &mut [Subject]) {
    let names: Vec<_> = subjects.iter().map(|subject| subject.name.clone()).collect();
    if names.iter().collect::<BTreeSet<_>>().len() == names.len() {
        return;
    }
    let paths: Vec<PathBuf> = subjects
        .iter()
        .map(|subject| std::path::absolute(&subject.folder.path).unwrap_or_default())
        .collect();
    let parts: Vec<Vec<_>> = paths.iter().map(|path| path.components().collect()).collect();
    let shared = (0..).take_while(|&place| {
        parts[0].get(place).is_some() && parts.iter().all(|other| other.get(place) == parts[0].get(place))
    });
    let shared = shared.count();
    for (subject, parts) in subjects.iter_mut().zip(&parts) {
        let own: PathBuf = parts.iter().skip(shared.min(parts.len().saturating_sub(1))).collect();
        subject.name = own.display().to_string();
    }
}
