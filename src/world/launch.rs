//! How this process was started: alone, or by a launcher as one of several.

use std::fmt;

use anyhow::Result;

use crate::usage;

/// The environment variables by which a launcher tells a process its place among several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The number of this process, from 0.
    pub rank: usize,
    /// The number of processes.
    pub size: usize,
    /// The number of this process among those of its machine.
    pub local_rank: usize,
    /// The number of processes on this machine.
    pub local_size: usize,
    /// The host of the store through which processes find each other.
    pub host: String,
    /// The port of that store.
    pub port: u16,
    /// What started the processes.
    pub launcher: Launcher,
}

/// What started several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// torchrun, or another program that uses torch's elastic agent.
    Torchrun {
        /// How often it has restarted the processes.
        restarts: u64,
        /// Whether it serves the store itself, so that no process does.
        serves_store: bool,
    },
    /// Variables that a user or a job controller has set.
    Variables,
    /// A step of a Slurm job.
    Slurm,
}

impl Launch {
    /// The port of the store where Slurm's script names none: that of PyTorch.
    const PORT: &'static str = "29500";

    /// Reads the place of this process from environment variables, which `get` returns by name: those of torchrun and
    /// of Kubernetes' job controllers (`RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`), or those of `srun`. Returns
    /// `None` for a process without others.
    ///
    /// # Errors
    ///
    /// If some of the variables are missing, or one is not a number in range.
    pub fn find(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let is_any_set = ["RANK", "WORLD_SIZE"].iter().any(|name| get(name).is_some());
        if get("WORLD_SIZE").is_some_and(|size| size == "1") {
            return Ok(None); // whatever else is set
        }
        let is_step =
            get("SLURM_PROCID").is_some() && get("SLURM_STEP_NUM_TASKS").is_some_and(|tasks| tasks != "1");
        let launch = if is_any_set {
            Self::of_variables(&get)?
        } else if is_step {
            Self::of_slurm(&get)?
        } else {
            return Ok(None);
        };
        launch.check()?;
        Ok((launch.size > 1).then_some(launch))
    }

    fn of_variables(get: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        let launcher = match get("TORCHELASTIC_RUN_ID") {
            Some(_) => Launcher::Torchrun {
                restarts: get("TORCHELASTIC_RESTART_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0),
                serves_store: get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True"),
            },
            None => Launcher::Variables,
        };
        let or = |name, default: &str| number(name, &get(name).unwrap_or_else(|| default.to_owned()));
        let local_rank: usize = or("LOCAL_RANK", "0")?;
        Ok(Self {
            rank: needed(get, "RANK")?,
            size: needed(get, "WORLD_SIZE")?,
            local_rank,
            local_size: or("LOCAL_WORLD_SIZE", &(local_rank + 1).to_string())?,
            host: text(get, "MASTER_ADDR")?,
            port: needed(get, "MASTER_PORT")?,
            launcher,
        })
    }

    /// `SLURM_NTASKS` is set in batch scripts and allocations too; only a step has these.
    fn of_slurm(get: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        let tasks = get("SLURM_STEP_TASKS_PER_NODE").unwrap_or_default();
        let node = get("SLURM_NODEID").and_then(|node| node.parse().ok()).unwrap_or(0);
        Ok(Self {
            rank: needed(get, "SLURM_PROCID")?,
            size: needed(get, "SLURM_STEP_NUM_TASKS")?,
            local_rank: needed(get, "SLURM_LOCALID")?,
            local_size: tasks_of_node(&tasks, node).unwrap_or(1),
            host: text(get, "MASTER_ADDR")?,
            port: number("MASTER_PORT", &get("MASTER_PORT").unwrap_or_else(|| Self::PORT.to_owned()))?,
            launcher: Launcher::Slurm,
        })
    }

    fn check(&self) -> Result<()> {
        let Self { rank, size, local_rank, local_size, .. } = self;
        if rank < size && local_rank < local_size {
            return Ok(());
        }
        Err(usage!(
            "this process is said to be rank {rank} of {size}, and rank {local_rank} of {local_size} on its machine";
            "correct RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE, or unset them to train without others"
        ))
    }
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, size, host, port, launcher, .. } = self;
        let launcher = match launcher {
            Launcher::Torchrun { restarts: 0, .. } => "torchrun".to_owned(),
            Launcher::Torchrun { restarts, .. } => format!("torchrun, restart {restarts}"),
            Launcher::Variables => "RANK and WORLD_SIZE".to_owned(),
            Launcher::Slurm => "srun".to_owned(),
        };
        write!(f, "rank {rank} of {size} by {launcher}, store at {host}:{port}")
    }
}

/// Returns the number of tasks of a node in Slurm's list, such as `4(x2),3`: two nodes of 4 tasks and one of 3.
fn tasks_of_node(list: &str, node: usize) -> Option<usize> {
    let mut left = node;
    for entry in list.split(',') {
        let (tasks, nodes) = match entry.split_once("(x") {
            Some((tasks, nodes)) => (tasks, nodes.strip_suffix(')')?.parse().ok()?),
            None => (entry, 1),
        };
        if left < nodes {
            return tasks.parse().ok();
        }
        left -= nodes;
    }
    None
}

fn text(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<String> {
    get(name).ok_or_else(|| {
        usage!(
            "the environment says that this process is one of several, but {name} is not set";
            "start all of them with torchrun, or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT (with srun, MASTER_ADDR)"
        )
    })
}

fn needed<T: std::str::FromStr>(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<T> {
    number(name, &text(get, name)?)
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| {
        usage!(
            "the environment variable {name} is `{value}`, which is no number in range";
            "correct it, or unset them to train without others"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint;

    fn found(variables: &[(&str, &str)]) -> Result<Option<Launch>> {
        Launch::find(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const FOUR: [(&str, &str); 4] =
        [("RANK", "3"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "10.0.0.1"), ("MASTER_PORT", "29611")];

    #[test]
    fn the_variables_of_a_launcher_say_the_place_of_a_process() {
        let plain = found(&FOUR).unwrap().unwrap();
        assert_eq!((plain.rank, plain.size, plain.local_rank, plain.local_size), (3, 4, 0, 1));
        assert_eq!((&plain.host[..], plain.port, plain.launcher), ("10.0.0.1", 29611, Launcher::Variables));
        let by_torchrun = [
            ("TORCHELASTIC_RUN_ID", "none"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("LOCAL_RANK", "1"),
            ("LOCAL_WORLD_SIZE", "2"),
        ];
        let by_torchrun = found(&[&FOUR[..], &by_torchrun].concat()).unwrap().unwrap();
        assert_eq!(by_torchrun.launcher, Launcher::Torchrun { restarts: 2, serves_store: true });
        assert_eq!((by_torchrun.local_rank, by_torchrun.local_size), (1, 2));
        assert!(by_torchrun.to_string().contains("rank 3 of 4 by torchrun, restart 2"), "{by_torchrun}");
    }

    #[test]
    fn a_step_of_slurm_is_told_from_its_batch_script() {
        let script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_JOB_ID", "7")];
        assert_eq!(found(&script).unwrap(), None);
        let step = [
            ("SLURM_PROCID", "5"),
            ("SLURM_STEP_NUM_TASKS", "7"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_NODEID", "1"),
            ("SLURM_STEP_TASKS_PER_NODE", "4,3"),
            ("MASTER_ADDR", "node1"),
        ];
        let launch = found(&step).unwrap().unwrap();
        assert_eq!((launch.rank, launch.size, launch.local_rank, launch.local_size), (5, 7, 1, 3));
        assert_eq!((launch.port, launch.launcher), (29500, Launcher::Slurm));
        assert_eq!(
            [0, 1, 2, 3].map(|node| tasks_of_node("4(x2),3", node)),
            [Some(4), Some(4), Some(3), None]
        );
        let error = hint::render(&found(&step[..5]).unwrap_err());
        assert!(error.contains("MASTER_ADDR is not set") && error.contains("with srun"), "{error}");
    }

    #[test]
    fn one_process_is_alone_and_contradictions_are_refused() {
        assert_eq!(found(&[]).unwrap(), None);
        let alone = [("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")];
        assert_eq!(found(&alone).unwrap(), None);
        assert_eq!(found(&[("WORLD_SIZE", "1")]).unwrap(), None);
        let refused = |name: &'static str, value: &'static str| {
            let others = FOUR.into_iter().filter(|(key, _)| *key != name);
            hint::render(&found(&others.chain([(name, value)]).collect::<Vec<_>>()).unwrap_err())
        };
        assert!(refused("RANK", "4").contains("rank 4 of 4"));
        assert!(refused("MASTER_PORT", "99999").contains("MASTER_PORT is `99999`"));
        assert!(refused("WORLD_SIZE", "").contains("WORLD_SIZE is not set"));
    }
}
