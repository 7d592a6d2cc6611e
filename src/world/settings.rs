//! Flags of a start in several processes.

use std::{str::FromStr, time::Duration};

/// How this process finds the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Several processes")]
pub struct Together {
    /// Whether this is one of several processes: auto (as torchrun, srun, or the variables RANK and `WORLD_SIZE`
    /// say) or 1 (it is alone, whatever they say)
    #[arg(long, value_name = "auto|1", default_value = "auto", hide_default_value = true, global = true)]
    pub world: WorldChoice,
    /// Seconds after which another process that does not answer is lost
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, global = true)]
    pub peer_timeout: Duration,
}

impl Default for Together {
    fn default() -> Self {
        Self { world: WorldChoice::Auto, peer_timeout: Duration::from_secs(60) }
    }
}

/// The choice of `--world`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorldChoice {
    /// As the environment says.
    Auto,
    /// One process.
    Alone,
}

impl FromStr for WorldChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "1" => Ok(Self::Alone),
            _ if text.parse::<u64>().is_ok() => Err(format!(
                "this program does not start other processes: start {text} of them with `torchrun --no-python --nproc-per-node {text}`"
            )),
            _ => Err("expected `auto` or `1`".to_owned()),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<f64>().ok().filter(|seconds| (2.0..=86_400.0).contains(seconds));
    parsed.map(Duration::from_secs_f64).ok_or_else(|| "expected a number from 2 to 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_processes_is_refused_with_the_command_that_starts_them() {
        assert_eq!("auto".parse(), Ok(WorldChoice::Auto));
        assert_eq!("1".parse(), Ok(WorldChoice::Alone));
        assert!("4".parse::<WorldChoice>().unwrap_err().contains("torchrun --no-python --nproc-per-node 4"));
        assert!("all".parse::<WorldChoice>().unwrap_err().contains("`auto` or `1`"));
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert!(["1", "nan", "inf", "1e9", "x"].iter().all(|text| seconds(text).is_err()));
    }
}
