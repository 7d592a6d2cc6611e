//! Requests to stop a run before its last step: a signal, or a deadline.
//!
//! The first signal asks for an orderly end and is answered immediately. A second Ctrl-C ends the process and
//! says what is lost.

use std::{
    convert::Infallible,
    ffi::c_int,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use crossbeam::channel::{self, Receiver, Sender, TryRecvError};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::agreement::Agreement;
pub(crate) use super::agreement::Next;
pub use super::agreement::StopReason;
use crate::{checkpoint::Checkpoints, signals, world::World};

/// A request to stop. A channel is disconnected when it comes, so that other waits can end with it.
#[derive(Debug)]
pub(crate) struct Stop {
    stopped: Receiver<Infallible>,
    is_by_signal: Arc<AtomicBool>,
    deadline: Option<Instant>,
    activity: Arc<Mutex<Activity>>,
    agreement: Agreement,
}

/// The present activity of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Preparations before the first step.
    Preparing,
    /// This step.
    Step(u64),
    /// The validation after this step.
    Validating(u64),
    /// The wait for a batch, or the writing of a checkpoint, after this step.
    Made(u64),
    /// The end of the run after this step, which is saved.
    Ending(u64),
}

impl Activity {
    /// Returns the answer to the first signal.
    fn answer(self, signal: c_int) -> String {
        let what = match self {
            Self::Preparing => "ending before a step is made".to_owned(),
            Self::Step(step) => format!("finishing step {step}, then saving"),
            Self::Validating(step) => format!("leaving the validation, then saving step {step}"),
            Self::Made(step) => format!("saving step {step}"),
            Self::Ending(step) => format!("step {step} is saved, and the run ends"),
        };
        let again = match signal {
            SIGINT => "press Ctrl-C again",
            SIGTERM => "send SIGTERM again after 5 s",
            _ => "press Ctrl-C",
        };
        let from = if signal == SIGINT { String::new() } else { format!("{}: ", signals::name(signal)) };
        let leave = match self {
            Self::Preparing | Self::Ending(_) => "exit immediately",
            _ => "leave without saving",
        };
        format!("{from}{what}; {again} to {leave}")
    }

    /// Returns the message with which the process leaves without saving, where `saved` is the step of the
    /// last checkpoint.
    fn farewell(self, saved: Option<u64>, run: &Path) -> String {
        let made = match self {
            Self::Preparing => None,
            Self::Step(step) => Some(step - 1),
            Self::Validating(step) | Self::Made(step) | Self::Ending(step) => Some(step),
        };
        let lost = made.unwrap_or(0).saturating_sub(saved.unwrap_or(0));
        let steps = if lost == 1 { "1 step".to_owned() } else { format!("{lost} steps") };
        let are = if lost == 1 { "is" } else { "are" };
        let run = run.display();
        match saved {
            _ if lost == 0 => "exited immediately: no step is lost".to_owned(),
            Some(saved) => format!(
                "left without saving: {steps} since the checkpoint of step {saved} in `{run}` {are} lost; the same command goes on \
                 from there"
            ),
            None => format!("left without saving: {steps} {are} lost, as `{run}` has no checkpoint yet"),
        }
    }
}

/// The times of the signals that a run has received.
#[derive(Debug)]
struct SignalTimes {
    first: Instant,
    /// The first SIGTERM.
    term: Option<Instant>,
}

impl SignalTimes {
    /// Signals within this time have one cause: a wrapper passes on the Ctrl-C that the terminal sends to
    /// both.
    const TOGETHER: Duration = Duration::from_millis(200);
    /// A second SIGTERM after this time comes from a user: systems repeat theirs sooner.
    const INSISTING: Duration = Duration::from_secs(5);

    fn new(signal: c_int, now: Instant) -> Self {
        Self { first: now, term: (signal == SIGTERM).then_some(now) }
    }

    /// Returns whether a further signal asks to leave without saving. Signals other than Ctrl-C come in pairs
    /// that mean one end: a closed terminal sends SIGHUP twice, systemd sends SIGHUP after SIGTERM, and Slurm
    /// sends SIGTERM after SIGUSR1.
    fn is_insisting(&mut self, signal: c_int, now: Instant) -> bool {
        match signal {
            SIGINT => now - self.first >= Self::TOGETHER,
            SIGTERM => now - *self.term.get_or_insert(now) >= Self::INSISTING,
            _ => false,
        }
    }
}

/// The sender of the channel. Nothing is sent: taking it disconnects the channel.
type Listening = Arc<Mutex<Option<Sender<Infallible>>>>;

fn hang_up(listening: &Listening) {
    listening.lock().unwrap_or_else(PoisonError::into_inner).take();
}

fn read(activity: &Mutex<Activity>) -> Activity {
    *activity.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stop {
    /// Starts to listen for signals and the deadline of the run in this folder.
    pub(crate) fn install(deadline: Option<Instant>, run: &Path) -> Result<Self> {
        let (sender, stopped) = channel::bounded(0);
        let listening = Arc::new(Mutex::new(Some(sender)));
        if let Some(deadline) = deadline {
            let listening = listening.clone();
            spawn("deadline", move || {
                thread::sleep(deadline.saturating_duration_since(Instant::now()));
                hang_up(&listening);
            })?;
        }
        let stop = Self {
            stopped,
            is_by_signal: Arc::default(),
            deadline,
            activity: Arc::new(Mutex::new(Activity::Preparing)),
            agreement: Agreement::default(),
        };
        stop.listen(listening, run.to_owned())?;
        Ok(stop)
    }

    fn listen(&self, listening: Listening, run: PathBuf) -> Result<()> {
        let mut signals = signals::listen()?;
        let (noted, activity) = (self.is_by_signal.clone(), self.activity.clone());
        spawn("signals", move || {
            let mut signals = signals.forever();
            let first = signals.next().unwrap_or(SIGINT);
            let mut times = SignalTimes::new(first, Instant::now());
            noted.store(true, SeqCst);
            hang_up(&listening);
            let answer = read(&activity).answer(first);
            signals::say(move || tracing::info!("{answer}"));
            signals.find(|&signal| times.is_insisting(signal, Instant::now()));
            let farewell = move || {
                let saved = Checkpoints::of(&run).last_step();
                tracing::warn!("{}", read(&activity).farewell(saved, &run));
            };
            signals::leave(farewell, || {});
        })
    }

    /// Makes a stop request that ignores signals, for tests.
    #[cfg(test)]
    pub(crate) fn at(deadline: Option<Instant>) -> Self {
        let activity = Arc::new(Mutex::new(Activity::Preparing));
        let (is_by_signal, agreement) = (Arc::default(), Agreement::default());
        Self { stopped: channel::never(), is_by_signal, deadline, activity, agreement }
    }

    /// Notes the activity, for the answer to a signal.
    pub(crate) fn note(&self, activity: Activity) {
        *self.activity.lock().unwrap_or_else(PoisonError::into_inner) = activity;
    }

    /// Returns whether this process is to stop now: after a signal, or if no more time is left than `closing`, the
    /// time that its end takes, which is only computed if there is a deadline.
    fn requested(&self, closing: impl FnOnce() -> Duration) -> bool {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() + closing() >= deadline);
        is_late || self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    fn own_reason(&self) -> StopReason {
        if self.is_by_signal.load(SeqCst) { StopReason::Signal } else { StopReason::Time }
    }

    fn wish(&self, closing: impl FnOnce() -> Duration) -> Option<StopReason> {
        self.requested(closing).then(|| self.own_reason())
    }

    /// Returns whether the run is to stop now, which all processes of `world` decide alike.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub(crate) fn is_due(&self, world: World, closing: impl FnOnce() -> Duration) -> Result<bool> {
        self.agreement.reach(world, self.wish(closing))
    }

    /// Returns whether the run is to stop before the next step, which all processes decide alike. Several processes
    /// decide by what they wanted before the last step, so that none waits for the answer.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub(crate) fn is_due_before_step(
        &self,
        world: World,
        closing: impl FnOnce() -> Duration,
    ) -> Result<bool> {
        self.agreement.reach_ahead(world, self.wish(closing))
    }

    /// Returns what all processes do next in work of which this one has `more` to do or not.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub(crate) fn next(&self, world: World, closing: impl FnOnce() -> Duration, more: bool) -> Result<Next> {
        self.agreement.next(world, self.wish(closing), more)
    }

    /// Returns the reason of a request that was made.
    pub(crate) fn reason(&self) -> StopReason {
        self.agreement.reason().unwrap_or_else(|| self.own_reason())
    }

    /// Returns the channel that is disconnected when the run is to stop. Several processes stop together, after a
    /// step that all of them make: a wait of one of them ends earlier only if another one is lost.
    pub(crate) fn channel(&self, world: World) -> Receiver<Infallible> {
        if world.has_others() { world.lost_channel() } else { self.stopped.clone() }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).with_context(|| format!("cannot start the thread `{name}`"))
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGHUP, SIGUSR1};

    use super::*;

    #[test]
    fn the_answer_to_a_signal_says_what_is_finished_first_and_how_to_leave_immediately() {
        assert_eq!(
            Activity::Step(41).answer(SIGINT),
            "finishing step 41, then saving; press Ctrl-C again to leave without saving"
        );
        assert_eq!(
            Activity::Validating(40).answer(SIGTERM),
            "SIGTERM: leaving the validation, then saving step 40; send SIGTERM again after 5 s to leave without saving"
        );
        assert_eq!(
            Activity::Preparing.answer(SIGUSR1),
            "SIGUSR1: ending before a step is made; press Ctrl-C to exit immediately"
        );
    }

    #[test]
    fn only_a_second_ctrl_c_or_a_late_second_sigterm_leaves_without_saving() {
        let start = Instant::now();
        let is_insisting = |first, signal, millis| {
            SignalTimes::new(first, start).is_insisting(signal, start + Duration::from_millis(millis))
        };
        for (first, signal, millis, leaves) in [
            (SIGINT, SIGINT, 10, false),
            (SIGINT, SIGINT, 400, true),
            (SIGTERM, SIGINT, 400, true),
            (SIGHUP, SIGHUP, 60_000, false),
            (SIGTERM, SIGHUP, 60_000, false),
            (SIGINT, SIGUSR1, 60_000, false),
            (SIGTERM, SIGTERM, 400, false),
            (SIGTERM, SIGTERM, 6_000, true),
            (SIGUSR1, SIGTERM, 60_000, false),
        ] {
            assert_eq!(
                is_insisting(first, signal, millis),
                leaves,
                "{first}, then {signal} after {millis} ms"
            );
        }
    }

    #[test]
    fn leaving_without_saving_says_how_many_steps_are_lost_and_where_the_checkpoint_is() {
        let farewell = |activity: Activity, saved| activity.farewell(saved, Path::new("runs/x"));
        assert_eq!(
            farewell(Activity::Step(518), Some(500)),
            "left without saving: 17 steps since the checkpoint of step 500 in `runs/x` are lost; the same command goes on from \
             there"
        );
        assert_eq!(
            farewell(Activity::Made(1), None),
            "left without saving: 1 step is lost, as `runs/x` has no checkpoint yet"
        );
        for (activity, saved) in [
            (Activity::Preparing, Some(500)),
            (Activity::Step(1), None),
            (Activity::Validating(500), Some(500)),
            (Activity::Ending(7), Some(7)),
        ] {
            assert_eq!(farewell(activity, saved), "exited immediately: no step is lost", "{activity:?}");
        }
    }
}
