//! Flags of a start that do not change what the run computes, for cron and job schedulers.

use std::{
    env,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp, Zoned, civil::Time, tz::TimeZone};

use crate::{
    exit::Code,
    hint::WithHint,
    numbers,
    run::{gate::Gate, watching::Watching},
};

/// The behaviour of this start of a run without supervision.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Unattended")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Unattended {
    /// Do nothing if the run is finished and no shard was added, removed or altered since. If one was, keep
    /// the run, finished or not, as OUT/previous (in place of an older one, unless the run has made no step)
    /// and begin a new one; see --warm-start last
    #[arg(long)]
    pub if_changed: bool,
    /// Exit with 3 instead of 0 if there was nothing to do
    #[arg(long, requires = "if_changed")]
    pub exit_code_unchanged: bool,
    /// Continue a finished run if --steps or --epochs exceed its length; an unfinished run continues without
    /// this flag
    #[arg(long, help_heading = "Training")]
    pub extend: bool,
    /// Save and exit with 130 before this many hours have passed; the same command continues the run
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    pub max_hours: Option<Duration>,
    /// Save and exit with 130 before this time of day, in the time zone of this machine (TZ, else
    /// /etc/localtime)
    #[arg(long, value_name = "HH:MM")]
    pub stop_at: Option<TimeOfDay>,
    /// Export the encoder of the finished run (of its best checkpoint with --best) to DIR/DATE, check it, and
    /// point DIR/latest to it
    #[arg(long, value_name = "DIR")]
    pub promote: Option<PathBuf>,
    /// Promote only if this condition holds, e.g. 'knn>=0.95*previous' or 'linear>0.6'; else exit with 5. The
    /// numbers are linear, mlp, knn, rankme and cosine of the validation, and loss of training. `previous` is
    /// the number of DIR/latest. May be given several times
    #[arg(long, value_name = "CONDITION", requires = "promote")]
    pub gate: Vec<Gate>,
    /// Print warnings and errors only: no progress, no result on stdout
    #[arg(long)]
    pub quiet: bool,
    /// Write exit code, error, step, last numbers and promotion of the run to a file
    #[arg(long, value_name = "FILE.json")]
    pub summary: Option<PathBuf>,
    /// By what the run is watched.
    #[command(flatten)]
    pub watching: Watching,
}

impl Unattended {
    /// Returns the deadline of a run that starts now, if one is set.
    ///
    /// # Errors
    ///
    /// If a time of day is set and the time zone of this machine cannot be found.
    pub(crate) fn deadline(&self) -> Result<Option<Deadline>> {
        let now = match (zone(), self.stop_at) {
            (Ok(zone), _) => Timestamp::now().to_zoned(zone),
            (Err(_), None) => Timestamp::now().to_zoned(TimeZone::UTC),
            (Err(error), Some(_)) => return Err(error),
        };
        let until = self.stop_at.map(|time| time.after(&now));
        let left = [self.max_hours, until].into_iter().flatten().min();
        Ok(left.and_then(|left| Deadline::after(left, &now)))
    }
}

/// The time by which a run has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// The time on the monotonic clock.
    pub(crate) at: Instant,
    /// The local time with its zone: `2026-11-28 06:30 +01:00 (Europe/Berlin)`.
    pub(crate) shown: String,
}

impl Deadline {
    /// Returns the deadline after `left`, or `None` if it is too far away for a clock.
    fn after(left: Duration, now: &Zoned) -> Option<Self> {
        let moment = now.checked_add(SignedDuration::try_from(left).ok()?).ok()?;
        let name = moment.time_zone().iana_name().map_or_else(String::new, |name| format!(" ({name})"));
        let shown = format!("{}{name}", moment.strftime("%Y-%m-%d %H:%M %:z"));
        Some(Self { at: Instant::now().checked_add(left)?, shown })
    }
}

/// Returns the time zone of this machine: that of `TZ`, or else of `/etc/localtime`, or else UTC.
fn zone() -> Result<TimeZone> {
    const LOCAL: &str = "/etc/localtime";
    let asked = env::var_os("TZ");
    if asked.is_none() && !Path::new(LOCAL).is_symlink() && !Path::new(LOCAL).exists() {
        return Ok(TimeZone::UTC);
    }
    let from =
        || asked.map_or_else(|| format!("`{LOCAL}`"), |name| format!("`TZ={}`", name.to_string_lossy()));
    TimeZone::try_system()
        .with_context(|| format!("--stop-at is a time of day, but the time zone of {} cannot be found", from()))
        .with_hint(|| {
            "set TZ to a zone such as Europe/Berlin or UTC (zones lie in the package tzdata), or give --max-hours instead"
        })
        .with_code(Code::Usage)
}

/// Parses a number of hours.
fn hours(text: &str) -> Result<Duration, String> {
    numbers::HOURS.parse(text).map(|hours| Duration::from_secs_f64(3600.0 * hours))
}

/// A time of day in the time zone of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(Time);

impl TimeOfDay {
    /// Returns the time from `now` until the clock next shows this time.
    fn after(self, now: &Zoned) -> Duration {
        // If the clock skips this time (summer time begins), `jiff` returns a time that is later by the
        // skipped interval.
        let on = |day: &Zoned| day.date().to_datetime(self.0).to_zoned(now.time_zone().clone()).ok();
        let today = on(now).filter(|time| time > now);
        let next = today.or_else(|| on(&now.tomorrow().ok()?));
        next.and_then(|next| now.duration_until(&next).try_into().ok()).unwrap_or_default()
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(hour, minute)| {
            let is_plain =
                |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let fits = is_plain(hour) && is_plain(minute);
            fits.then(|| Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()).flatten()
        });
        parts.map(Self).ok_or_else(|| "not a time of day such as 06:30".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(time: &str, now: &str) -> u64 {
        time.parse::<TimeOfDay>().unwrap().after(&now.parse().unwrap()).as_secs()
    }

    #[test]
    fn the_deadline_is_the_next_time_that_the_clock_shows() {
        assert_eq!(left("06:30", "2026-11-28T01:15:00+01:00[Europe/Berlin]"), 5 * 3600 + 15 * 60);
        assert_eq!(left("06:30", "2026-11-28T06:30:00+01:00[Europe/Berlin]"), 24 * 3600);
        assert_eq!(left("6:30", "2026-11-28T23:30:00Z[UTC]"), 7 * 3600);
        // The night of 25 hours, and the night of 23.
        assert_eq!(left("06:30", "2026-10-25T01:30:00+02:00[Europe/Berlin]"), 6 * 3600);
        assert_eq!(left("06:30", "2026-03-29T01:30:00+01:00[Europe/Berlin]"), 4 * 3600);
    }

    #[test]
    fn the_deadline_is_shown_with_its_zone() {
        let shown = |time: &str, now: &str| {
            let now: Zoned = now.parse().unwrap();
            Deadline::after(time.parse::<TimeOfDay>().unwrap().after(&now), &now).unwrap().shown
        };
        let [summer, winter] = ["2026-10-25T01:30:00+02:00[Europe/Berlin]", "2026-11-28T07:00:00Z[UTC]"];
        assert_eq!(shown("6:30", summer), "2026-10-25 06:30 +01:00 (Europe/Berlin)");
        assert_eq!(shown("6:30", winter), "2026-11-29 06:30 +00:00 (UTC)");
        let now: Zoned = winter.parse().unwrap();
        assert_eq!(Deadline::after(Duration::MAX, &now), None);
    }

    #[test]
    fn texts_that_are_not_times_are_refused() {
        for text in ["24:00", "6", "06:60", "-1:30", "6:+3", "06:30:00", "half past six"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
        assert!(hours("0").is_err() && hours("nan").is_err() && hours("1e300").is_err());
        assert_eq!(hours("1.5"), Ok(Duration::from_secs(5400)));
    }
}
