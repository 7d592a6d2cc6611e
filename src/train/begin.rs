//! A run from its command to its end: what its folder contains decides how it begins.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{run::RunOutcome, session::Run};
use crate::{
    checkpoint::{DataIdentity, Loaded, State},
    config::{self, Config},
    data, hint,
    observe::Token,
    report,
    run::{
        folder::RunFolder,
        history::{self, Begun, Ended, Event, Outcome},
        lock::RunLock,
        manifest::Manifest,
        promote,
        promotion::Promotions,
        start::Start,
        stop::{Stop, StopReason},
        unattended::{Deadline, Unattended},
    },
    stdout, terminal,
    world::{self, World},
};

/// What a start does, which the lead decides for all processes.
#[derive(Serialize, Deserialize)]
struct Beginning {
    config: Config,
    /// The state from which the run goes on; none of a new run.
    resumed: Option<State>,
    /// Whether everything that is asked for is done already.
    is_over: bool,
}

/// What the lead has found in the run folder.
#[derive(Default)]
struct Found {
    lock: Option<RunLock>,
    /// The step of the last checkpoint.
    saved: Option<u64>,
    /// The checkpoint from which the run goes on.
    resumed: Option<Loaded>,
    manifest: Option<Manifest>,
    /// How the shards have changed, if a new run begins for that reason.
    changes: Option<String>,
}

/// Trains with the settings `asked` (flags over file), and resumes the run that the folder contains. `world`
/// is this process's place among those that train together.
pub fn run(asked: &toml::Table, unattended: &Unattended, world: World) -> Result<RunOutcome> {
    world.all(unattended.watching.check())?;
    let deadline = world.all(unattended.deadline())?;
    let folder = RunFolder::of(&Config::out(asked)?);
    let stop = Stop::install(deadline.as_ref().map(|deadline| deadline.at), &folder.path)?;
    let told = told(asked);
    let told: Vec<_> = told.iter().map(|(name, value)| (&**name, value.clone())).collect();
    world.agree(&told, "start all processes with the same program and the same settings")?;
    let mut found = Found::default();
    let beginning = world.from_lead(|| find(asked, unattended, &folder, &mut found))?;
    let Beginning { mut config, resumed, is_over } = beginning;
    let names_partitions = asked.get("data").is_some_and(|data| data.get("partitions").is_some());
    if resumed.is_none() && !names_partitions {
        config.data.partitions = default_partitions(world);
    }
    if is_over {
        return Ok(RunOutcome::Unchanged);
    }
    let config = if world.is_lead() { Ok(config) } else { config.on_this_machine(asked) };
    let config = world.all(config)?;
    let mut run = world.all(Run::prepare(config, resumed.as_ref(), world))?;
    if run.device.is_cuda() {
        world.connect_devices()?;
    }
    run.config.data.make_absolute(); // the run may be resumed and judged from any folder
    run.agree_on_data()?;
    world.all(promote::check_gates(&run.config.run, &run.data, &unattended.gate))?;
    let mut token = None;
    world.on_lead(|| {
        token = unattended.watching.listen_token.as_deref().map(Token::of).transpose()?;
        run.check_links(&folder)?;
        if resumed.is_none() {
            run.warm_start(&folder, found.changes.is_some())?;
        }
        unattended.promote.as_ref().map_or(Ok(()), |promotions| Promotions::of(promotions).prepare())
    })?;
    if run.is_to_stop(&stop)? {
        tracing::info!("stopped before the first step: nothing has changed");
        return Ok(RunOutcome::Stopped(stop.reason())); // before anything is made or moved
    }
    let manifest = world.on_lead(|| run.take_over(&folder, &mut found))?;
    run.follow(resumed.as_ref())?;
    if let (Some(manifest), true) = (&manifest, world.is_lead()) {
        run.note_beginning(&folder, manifest, deadline.as_ref())?;
    }
    let displays = world.all(run.displays(&folder, unattended, token));
    let outcome = displays
        .and_then(|displays| run.train_catching_panics(&folder, &stop, displays))
        .map_err(|error| run.end_without_others(&folder, error));
    let outcome = outcome.and_then(|outcome| {
        world.on_lead(|| run.conclude(&folder, unattended, manifest, outcome))?;
        Ok(outcome)
    });
    if world.is_lead() {
        run.note_end(&folder, &outcome);
    }
    outcome
}

/// Returns the settings in which all processes must agree, by name. Paths and the devices of machines may differ.
fn told(asked: &toml::Table) -> Vec<(String, String)> {
    let settings = config::flat(asked).into_iter();
    settings.filter(|(name, _)| !config::OF_A_MACHINE.contains(&&**name)).collect()
}

/// Returns the number of partitions of a run that names none: one for each machine, so that each reads its own part of
/// the shards, if they have equally many processes.
fn default_partitions(world: World) -> usize {
    let machines = world.machines();
    if world.size().is_multiple_of(machines) { machines } else { 1 }
}

/// Decides what this start does by the contents of the run folder.
fn find(
    asked: &toml::Table,
    unattended: &Unattended,
    folder: &RunFolder,
    found: &mut Found,
) -> Result<Beginning> {
    folder.check(unattended.summary.as_deref())?;
    // An existing folder is read under its lock; a new one is created only after all checks have passed.
    found.lock = folder.take_existing()?;
    let latest = folder.checkpoints.latest()?;
    let state = latest.as_ref().map(|loaded| &loaded.state);
    found.saved = state.map(|state| state.step);
    let Start { config, manifest, changes, is_over } = Start::find(asked, unattended, state, folder)?;
    (found.manifest, found.changes) = (manifest, changes);
    found.resumed = latest.filter(|_| found.changes.is_none());
    let resumed = found.resumed.as_ref().map(|loaded| loaded.state.clone());
    Ok(Beginning { config: config?, resumed, is_over })
}

impl Run {
    /// Checks that all processes read the same samples.
    fn agree_on_data(&self) -> Result<()> {
        let identity = |set: &shards::ShardSet| {
            let DataIdentity { digest, samples } = DataIdentity::of(set);
            format!("{samples} samples ({digest:016x})")
        };
        let named = |name: &'static str, set: &shards::ShardSet| (name, identity(set));
        let train = named("training shards", &self.data.train);
        let validation = self.data.validation.iter().map(|set| named("validation shards", set));
        let all: Vec<_> = [train].into_iter().chain(validation).collect();
        self.world.agree(&all, "give all machines the same shards, in the same order of names")
    }

    /// Locks the folder, reports how the last process ended, sets aside the run whose shards have changed, and restores
    /// the state from which the run goes on. Returns the manifest of the run.
    fn take_over(&mut self, folder: &RunFolder, found: &mut Found) -> Result<Manifest> {
        self.lock = Some(match found.lock.take() {
            Some(lock) => lock,
            None => folder.take_new()?,
        });
        self.report_killed_process(folder, found.saved)?;
        if let Some(changes) = &found.changes {
            folder.set_aside()?;
            tracing::info!("{changes}: a new run begins");
        }
        if let Some(loaded) = &found.resumed {
            self.resume(folder, loaded)?;
        }
        Ok(self.manifest(found.manifest.take()))
    }

    /// Restores a checkpoint of this run, and notes a new length in it.
    fn resume(&mut self, folder: &RunFolder, loaded: &Loaded) -> Result<()> {
        let saved = &loaded.state;
        folder.checkpoints.set_aside_after(saved.step)?;
        folder.checkpoints.link_best()?;
        self.trainer.restore(loaded).context("cannot resume")?;
        let length = |config: &Config| (config.train.steps, config.train.epochs);
        if length(&self.config) == length(&saved.config) {
            return Ok(());
        }
        // A later start that does not ask for a length keeps this one.
        folder.checkpoints.restate_length(loaded, &self.state(saved.step, saved.position))?;
        tracing::info!(
            "the run becomes longer: past drops of the learning rate stay where they were, future drops move with the end of the run"
        );
        Ok(())
    }

    /// Goes on from the tensors of the lead, and from the state that it resumes.
    fn follow(&mut self, resumed: Option<&State>) -> Result<()> {
        self.world.follow_lead(|| {
            let network = self.trainer.network().tensors().into_values();
            network.chain(self.trainer.moments().into_values()).collect()
        })?;
        if let Some(state) = resumed {
            self.trainer.resume(state.step);
            (self.position, self.saved) = (state.position, Some(state.step));
        }
        Ok(())
    }

    /// Returns the run's manifest; `before` is the one in its folder.
    fn manifest(&self, before: Option<Manifest>) -> Manifest {
        let mut manifest = before.unwrap_or_else(|| Manifest::new(&self.data, self.steps));
        manifest.steps = self.steps; // the run may have become longer
        if self.trainer.step_count() < self.steps {
            // The run is not finished, or its last checkpoint is damaged and the steps are made again.
            (manifest.finished, manifest.promotion) = (None, None);
        }
        manifest
    }

    /// Writes manifest and settings, logs the first line of the run and, for a new run, warns of enlarged
    /// images and long runs.
    fn note_beginning(
        &self,
        folder: &RunFolder,
        manifest: &Manifest,
        deadline: Option<&Deadline>,
    ) -> Result<()> {
        manifest.write(&folder.manifest)?;
        self.settings().write(&folder.config)?;
        history::note(&folder.history, &Event::Start(Box::new(self.begun())));
        self.announce(folder, deadline);
        if self.trainer.step_count() == 0 {
            self.look_ahead();
        }
        Ok(())
    }

    /// Describes this start.
    fn begun(&self) -> Begun {
        Begun {
            time: Timestamp::now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            host: world::host(),
            device: torchkit::name(self.device),
            precision: self.config.train.precision.to_string(),
            workers: data::workers(&self.config),
            threads: self.threads,
            processes: self.world.size(),
            step: self.trainer.step_count(),
            steps: self.steps,
            command: history::command(),
        }
    }

    /// Notes how the run has ended, and writes its report. Neither changes how it ends.
    fn note_end(&self, folder: &RunFolder, ended: &Result<RunOutcome>) {
        let outcome = match ended {
            Ok(RunOutcome::Finished | RunOutcome::Unchanged) => Outcome::Finished,
            Ok(RunOutcome::Stopped(StopReason::Signal)) => Outcome::Signal,
            Ok(RunOutcome::Stopped(StopReason::Time)) => Outcome::Time,
            Err(_) => Outcome::Failed,
        };
        let error = ended.as_ref().err().map(hint::causes);
        let step = self.trainer.step_count();
        history::note(&folder.history, &Event::End(Ended { time: Timestamp::now(), step, outcome, error }));
        report::write_at_end(folder, &self.data);
    }

    fn announce(&self, folder: &RunFolder, deadline: Option<&Deadline>) {
        let step = self.trainer.step_count();
        let standing = match step {
            0 => "run folder",
            _ if step >= self.steps => "already finished:",
            _ => "resuming",
        };
        let until = deadline.map_or_else(String::new, |Deadline { shown, .. }| format!(", until {shown}"));
        tracing::info!(
            "{}; {}; {}; {standing} `{}`, step {step} of {}{until}",
            self.data_in_words(),
            self.machine_in_words(),
            self.trainer.schedule(),
            folder.path.display(),
            self.steps
        );
        if let Some(complaint) = self.trainer.schedule().complaint().filter(|_| step < self.steps) {
            tracing::warn!("{complaint}");
        }
    }

    /// Promotes the run if it is finished, and prints where it stands.
    ///
    /// # Errors
    ///
    /// If the run is finished and does not pass its gates.
    fn conclude(
        &self,
        folder: &RunFolder,
        unattended: &Unattended,
        manifest: Option<Manifest>,
        outcome: RunOutcome,
    ) -> Result<()> {
        let mut manifest = manifest.context("the lead has a manifest")?;
        let is_finished = outcome == RunOutcome::Finished;
        if is_finished {
            manifest.finished.get_or_insert_with(Timestamp::now);
            promote::promote(folder, &self.config.run, &self.data, unattended, &mut manifest)?;
        }
        if !unattended.quiet {
            let standing = folder.standing();
            stdout::say(&standing.in_words())?;
            if !stdout::is_json() {
                let summary = report::summary(&folder.path, terminal::columns_for_text());
                summary.unwrap_or_default().iter().try_for_each(|line| stdout::say(line))?;
            }
            stdout::print(&serde_json::to_value(&standing)?)?;
        }
        match &manifest.promotion {
            Some(promotion) if is_finished && unattended.promote.is_some() => promote::check(promotion),
            _ => Ok(()),
        }
    }
}
