//! What ends a run before its last step: a signal, or the end of the time that there is.
//!
//! The first signal asks for an orderly end and is answered at once. A second Ctrl-C ends the process and says what is lost.

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

use crate::{checkpoint::Checkpoints, signals};

/// Whether the run is to stop: a channel that is hung up then, so that one can wait for it, too.
#[derive(Debug)]
pub(crate) struct Stop {
    stopped: Receiver<Infallible>,
    by_signal: Arc<AtomicBool>,
    deadline: Option<Instant>,
    doing: Arc<Mutex<Doing>>,
}

/// Why a run ends before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A signal asked for it.
    Signal,
    /// There is no more time.
    Time,
}

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It gets ready to train.
    Preparing,
    /// It makes this step.
    Step(u64),
    /// It validates after this step.
    Validating(u64),
    /// It has made this step, and waits for the next batch or saves.
    Made(u64),
    /// This step is saved, and the run ends.
    Ending(u64),
}

impl Doing {
    /// What is said of the first signal.
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
            Self::Preparing | Self::Ending(_) => "leave at once",
            _ => "leave without saving",
        };
        format!("{from}{what}; {again} to {leave}")
    }

    /// What is said of the second one, given the last checkpoint.
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
            _ if lost == 0 => "left at once: no step is lost".to_owned(),
            Some(saved) => format!(
                "left without saving: {steps} since the checkpoint of step {saved} in `{run}` {are} lost; the same command goes on \
                 from there"
            ),
            None => format!("left without saving: {steps} {are} lost, as `{run}` has no checkpoint yet"),
        }
    }
}

/// The signals that a run has had.
#[derive(Debug)]
struct Had {
    first: Instant,
    /// When the first SIGTERM came.
    term: Option<Instant>,
}

impl Had {
    /// Signals of one cause come together: a wrapper hands on the Ctrl-C that the terminal sends to both.
    const TOGETHER: Duration = Duration::from_millis(200);
    /// Systems send SIGTERM several times, too, but then at once.
    const INSISTING: Duration = Duration::from_secs(5);

    fn new(signal: c_int, now: Instant) -> Self {
        Self { first: now, term: (signal == SIGTERM).then_some(now) }
    }

    /// Whether a further signal asks to leave without saving. Others than Ctrl-C come in pairs that mean one end: a terminal that
    /// is closed sends SIGHUP twice, systemd SIGHUP after SIGTERM, Slurm SIGTERM after SIGUSR1.
    fn is_insisting(&mut self, signal: c_int, now: Instant) -> bool {
        match signal {
            SIGINT => now - self.first >= Self::TOGETHER,
            SIGTERM => now - *self.term.get_or_insert(now) >= Self::INSISTING,
            _ => false,
        }
    }
}

/// Nothing is ever sent: whoever takes it out hangs up.
type Listening = Arc<Mutex<Option<Sender<Infallible>>>>;

fn hang_up(listening: &Listening) {
    listening.lock().unwrap_or_else(PoisonError::into_inner).take();
}

fn read(doing: &Mutex<Doing>) -> Doing {
    *doing.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stop {
    /// Listens from now on, until the deadline at most, for the run in this folder.
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
            by_signal: Arc::default(),
            deadline,
            doing: Arc::new(Mutex::new(Doing::Preparing)),
        };
        stop.listen(listening, run.to_owned())?;
        Ok(stop)
    }

    fn listen(&self, listening: Listening, run: PathBuf) -> Result<()> {
        let mut signals = signals::listen()?;
        let (noted, doing) = (self.by_signal.clone(), self.doing.clone());
        spawn("signals", move || {
            let mut signals = signals.forever();
            let first = signals.next().unwrap_or(SIGINT);
            let mut had = Had::new(first, Instant::now());
            noted.store(true, SeqCst);
            hang_up(&listening);
            let answer = read(&doing).answer(first);
            signals::say(move || tracing::info!("{answer}"));
            signals.find(|&signal| had.is_insisting(signal, Instant::now()));
            let farewell = move || {
                let saved = Checkpoints::of(&run).last_step();
                tracing::warn!("{}", read(&doing).farewell(saved, &run));
            };
            signals::leave(farewell, || {});
        })
    }

    /// One that no signal reaches.
    #[cfg(test)]
    pub(crate) fn at(deadline: Option<Instant>) -> Self {
        let doing = Arc::new(Mutex::new(Doing::Preparing));
        Self { stopped: channel::never(), by_signal: Arc::default(), deadline, doing }
    }

    /// Notes what the run is at, for those who ask it to end.
    pub(crate) fn note(&self, doing: Doing) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// Whether the run is to end now: it was asked to, or has no more time than `closing`, which its end will take.
    pub(crate) fn requested(&self, closing: Duration) -> bool {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() + closing >= deadline);
        is_late || self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Why the run, which was to end, was.
    pub(crate) fn why(&self) -> Why {
        if self.by_signal.load(SeqCst) { Why::Signal } else { Why::Time }
    }

    /// Disconnects when the run is asked to stop, or its time is over.
    pub(crate) fn channel(&self) -> &Receiver<Infallible> {
        &self.stopped
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
    fn a_signal_is_answered_by_what_is_done_first_and_how_to_leave_at_once() {
        assert_eq!(
            Doing::Step(41).answer(SIGINT),
            "finishing step 41, then saving; press Ctrl-C again to leave without saving"
        );
        assert_eq!(
            Doing::Validating(40).answer(SIGTERM),
            "SIGTERM: leaving the validation, then saving step 40; send SIGTERM again after 5 s to leave without saving"
        );
        assert_eq!(
            Doing::Preparing.answer(SIGUSR1),
            "SIGUSR1: ending before a step is made; press Ctrl-C to leave at once"
        );
    }

    #[test]
    fn only_a_second_ctrl_c_or_a_sigterm_that_insists_leaves_without_saving() {
        let start = Instant::now();
        let is_insisting = |first, signal, millis| {
            Had::new(first, start).is_insisting(signal, start + Duration::from_millis(millis))
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
    fn whoever_leaves_at_once_is_told_how_many_steps_are_lost_and_where_the_checkpoint_is() {
        let farewell = |doing: Doing, saved| doing.farewell(saved, Path::new("runs/x"));
        assert_eq!(
            farewell(Doing::Step(518), Some(500)),
            "left without saving: 17 steps since the checkpoint of step 500 in `runs/x` are lost; the same command goes on from \
             there"
        );
        assert_eq!(
            farewell(Doing::Made(1), None),
            "left without saving: 1 step is lost, as `runs/x` has no checkpoint yet"
        );
        for (doing, saved) in [
            (Doing::Preparing, Some(500)),
            (Doing::Step(1), None),
            (Doing::Validating(500), Some(500)),
            (Doing::Ending(7), Some(7)),
        ] {
            assert_eq!(farewell(doing, saved), "left at once: no step is lost", "{doing:?}");
        }
    }
}
