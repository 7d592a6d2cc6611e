//! The Slurm job of several nodes, with stand-ins for srun and scontrol.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use amdim_stream::world::{Launch, Launcher};

use super::support::{parse, read, root, script};
use crate::support::{Place, succeed};

/// Two nodes with two tasks each. As srun does, it passes SIGUSR1 on to its tasks, kills them when it gets SIGTERM, and
/// returns the highest of their exit codes.
const SRUN: &str = "\
echo \"$@\" >> steps
while [ \"$1\" != amdim-stream ]; do shift; done
tasks=
trap 'signal=yes; for each in $tasks; do kill -USR1 $each; done' USR1
trap 'signal=yes; kill -KILL $tasks' TERM
for task in 0 1 2 3; do
    SLURM_PROCID=$task SLURM_LOCALID=$((task % 2)) SLURM_NODEID=$((task / 2)) SLURM_STEP_ID=0 \\
        SLURM_STEP_NUM_TASKS=4 SLURM_STEP_TASKS_PER_NODE='2(x2)' \"$@\" &
    tasks=\"$tasks $!\"
done
touch begun
highest=0
for task in $tasks; do
    while :; do signal=; wait $task; code=$?; [ -n \"$signal\" ] || break; done
    [ $code -le $highest ] || highest=$code
done
exit $highest";

/// Writes down its environment and arguments, and ends as the word of `$ENDS` for this start says: `run` runs until SIGUSR1,
/// `lost` kills task 2, so that the others fail, and a number is the exit code of all.
const PROGRAM: &str = "\
start=$(wc -l < steps)
env > env.$start.$SLURM_PROCID
printf '%s\\n' \"$@\" > told
end=$(echo $ENDS | cut -d ' ' -f $start)
case $end in
    run)
        trap 'kill $!; echo USR1 >> saved.$SLURM_PROCID; exit 130' USR1
        sleep 600 &
        touch started.$SLURM_PROCID
        wait ;;
    lost) [ $SLURM_PROCID != 2 ] || kill -KILL $$; exit 1 ;;
    *) exit $end ;;
esac";

const SCONTROL: &str = "\
case $1 in
    show) [ \"$*\" = 'show hostnames node-[07-08]' ] && printf 'node-07\\nnode-08\\n' ;;
    *) echo \"$@\" >> requeued ;;
esac";

/// A job of `contrib/slurm-nodes.sh`.
struct Job {
    place: Place,
    child: Child,
}

impl Job {
    /// Starts a job with a shell. `ends` has a word for each start of its processes.
    fn start(shell: &str, ends: &str) -> Self {
        let place = Place::new();
        for (name, text) in [("srun", SRUN), ("amdim-stream", PROGRAM), ("scontrol", SCONTROL)] {
            script(&place.path("bin").join(name), text);
        }
        // SLURM_NTASKS is set in the script, too; a process must not take it for its step.
        let variables = [
            ("SLURM_JOB_ID", "4321"),
            ("SLURM_JOB_NODELIST", "node-[07-08]"),
            ("SLURM_CPUS_PER_TASK", "12"),
            ("SLURM_NTASKS", "4"),
            ("ENDS", ends),
        ];
        let child = Command::new(shell)
            .arg(root("contrib/slurm-nodes.sh"))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", place.path("bin").display()))
            .envs(variables)
            .current_dir(place.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null()) // some shells report children that a signal ended
            .process_group(0)
            .spawn()
            .unwrap();
        Self { place, child }
    }

    /// Sends a signal as soon as all processes run, to the script only or to all processes of the job.
    fn signal(&mut self, name: &str, to_all: bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let is_begun = |job: &Self| {
            job.place.path("begun").exists() && job.of_each("started").iter().all(|path| path.exists())
        };
        while !is_begun(self) {
            assert!(
                Instant::now() < deadline && self.child.try_wait().unwrap().is_none(),
                "the processes of the job do not start"
            );
            thread::sleep(Duration::from_millis(5));
        }
        let group = if to_all { "-" } else { "" };
        succeed(Command::new("kill").args(["-s", name, "--", &format!("{group}{}", self.child.id())]));
    }

    /// Returns the file of each process.
    fn of_each(&self, name: &str) -> [PathBuf; 4] {
        [0, 1, 2, 3].map(|task| self.place.path(&format!("{name}.{task}")))
    }

    /// Waits for the job. Returns its exit code, the number of starts, and the arguments of `scontrol requeue`.
    fn end(&mut self) -> (Option<i32>, usize, Option<String>) {
        let code = self.child.wait().unwrap().code();
        let starts = fs::read_to_string(self.place.path("steps")).unwrap().lines().count();
        (code, starts, fs::read_to_string(self.place.path("requeued")).ok())
    }

    /// Returns what the program makes of the environment of each process of a start.
    fn launches(&self, start: usize) -> [Launch; 4] {
        self.of_each(&format!("env.{start}")).map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let variables: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
            Launch::find(|name| variables.get(name).map(|&value| value.to_owned())).unwrap().unwrap()
        })
    }
}

const SHELLS: [&str; 2] = ["/bin/sh", "/bin/bash"];

#[test]
fn each_process_of_a_slurm_step_finds_its_rank_its_gpu_and_the_first_node() {
    let mut job = Job::start("/bin/sh", "0");
    assert_eq!(job.end(), (Some(0), 1, None));
    for (rank, launch) in job.launches(1).into_iter().enumerate() {
        assert_eq!((launch.rank, launch.size), (rank, 4));
        assert_eq!((launch.local_rank, launch.local_size), (rank % 2, 2));
        assert_eq!((&launch.host[..], launch.launcher), ("node-07", Launcher::Slurm));
        assert!(
            (20000..30000).contains(&launch.port),
            "below the ports that Linux gives to clients: {launch}"
        );
    }
    let told = fs::read_to_string(job.place.path("told")).unwrap();
    let told: Vec<_> = told.lines().collect();
    parse(&told, "slurm-nodes.sh");
    let step = fs::read_to_string(job.place.path("steps")).unwrap();
    let options = "--kill-on-bad-exit=0 --wait=300 --cpus-per-task=12 amdim-stream ";
    assert!(step.starts_with(options), "{step}");
}

#[test]
fn a_slurm_job_of_several_nodes_saves_and_requeues_itself_in_time() {
    for shell in SHELLS {
        let mut job = Job::start(shell, "run");
        job.signal("USR1", false);
        assert_eq!(job.end(), (Some(0), 1, Some("requeue 4321\n".to_owned())), "{shell}");
        for path in job.of_each("saved") {
            assert!(path.exists(), "{shell}: {}", path.display());
        }
        let mut stopped = Job::start(shell, "130");
        assert_eq!(stopped.end(), (Some(0), 1, Some("requeue 4321\n".to_owned())), "{shell}");
    }
}

#[test]
fn a_canceled_slurm_job_of_several_nodes_saves_if_only_its_script_is_told_and_is_not_requeued() {
    for shell in SHELLS {
        let mut job = Job::start(shell, "run");
        job.signal("TERM", false);
        assert_eq!(job.end(), (Some(130), 1, None), "{shell}");
        assert!(job.of_each("saved").iter().all(|path| path.exists()), "{shell}");
        let mut killed = Job::start(shell, "run");
        killed.signal("TERM", true);
        assert_eq!(killed.end(), (Some(130), 1, None), "{shell}");
    }
}

#[test]
fn a_slurm_job_of_several_nodes_starts_again_after_failures_only() {
    for (ends, code, starts) in [
        ("0", 0, 1),
        ("lost 1 0", 0, 3),
        ("lost lost 1 1 0", 1, 4),
        ("1 2", 2, 2),
        ("5", 5, 1),
        ("127", 127, 1),
    ] {
        let mut job = Job::start("/bin/sh", ends);
        assert_eq!(job.end(), (Some(code), starts, None), "{ends}");
        let mut ports: Vec<_> =
            (1..=starts).map(|start| job.launches(start).map(|launch| launch.port)).collect();
        ports.dedup();
        assert_eq!(ports.len(), starts, "{ends}: each start has a port of its own");
        assert!(ports.iter().all(|ports| ports.iter().all(|port| *port == ports[0])), "{ports:?}");
    }
}

#[test]
fn the_slurm_job_of_several_nodes_asks_for_a_gpu_for_each_process() {
    let text = read("contrib/slurm-nodes.sh");
    let option = |name: &str| {
        let line = format!("#SBATCH --{name}");
        let found = text.lines().find_map(|text| text.strip_prefix(&line));
        found.unwrap_or_else(|| panic!("no --{name}")).trim_start_matches('=')
    };
    assert_eq!(option("signal"), "B:USR1@300", "the script waits for this signal");
    assert_eq!(option("ntasks-per-node"), option("gpus-per-node"));
    for name in ["job-name", "cpus-per-task", "mem", "time", "requeue", "open-mode", "output"] {
        option(name);
    }
    let processes = ["nodes", "ntasks-per-node"].map(|name| option(name).parse::<usize>().unwrap());
    let batch = text.split("--batch-size ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(
        batch.parse::<usize>().unwrap().is_multiple_of(processes.iter().product()),
        "{batch} {processes:?}"
    );
}
