//! The job of Slurm.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::support::{read, root, script, shell};
use crate::support::{Place, succeed};

/// A job of `contrib/slurm.sh` whose program runs until it receives SIGTERM, or ends with a code.
struct Job {
    place: Place,
    child: Child,
}

impl Job {
    /// Starts a job. Without a code, its program runs until SIGTERM.
    fn start(code: Option<i32>) -> Self {
        let place = Place::new();
        let _ = shell(&place);
        let text = match code {
            Some(code) => format!("exit {code}"),
            None => "trap 'kill $!; echo TERM > saved; exit 130' TERM\nsleep 600 &\ntouch started\nwait"
                .to_owned(),
        };
        script(&place.path("bin/amdim-stream"), &text);
        script(&place.path("bin/scontrol"), r#"echo "$@" >> requeued"#);
        script(
            &place.path("bin/srun"),
            "echo the job must not use srun, which kills the program >&2; exit 1",
        );
        let child = Command::new("/bin/sh")
            .arg(root("contrib/slurm.sh"))
            .env("PATH", format!("{}:/usr/bin:/bin", place.path("bin").display()))
            .envs([("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "3")])
            .current_dir(place.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null()) // some shells report children that a signal ended
            .process_group(0)
            .spawn()
            .unwrap();
        Self { place, child }
    }

    /// Sends a signal as soon as the program runs, to the script only or to all processes of the job.
    fn signal(&mut self, name: &str, to_all: bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.place.path("started").exists() {
            assert!(
                Instant::now() < deadline && self.child.try_wait().unwrap().is_none(),
                "the program of the job does not start"
            );
            thread::sleep(Duration::from_millis(5));
        }
        let group = if to_all { "-" } else { "" };
        succeed(Command::new("kill").args(["-s", name, "--", &format!("{group}{}", self.child.id())]));
    }

    /// Waits for the job. Returns its exit code and the arguments of scontrol.
    fn end(mut self) -> (Option<i32>, Option<String>) {
        let code = self.child.wait().unwrap().code();
        (code, fs::read_to_string(self.place.path("requeued")).ok())
    }
}

#[test]
fn a_slurm_job_that_runs_out_of_time_saves_and_requeues_itself() {
    let mut job = Job::start(None);
    job.signal("USR1", false);
    assert_eq!(job.end(), (Some(0), Some("requeue 7_3\n".to_owned())));
    assert_eq!(Job::start(Some(130)).end(), (Some(0), Some("requeue 7_3\n".to_owned())));
}

#[test]
fn a_canceled_slurm_job_saves_and_is_not_requeued() {
    let mut job = Job::start(None);
    job.signal("TERM", true);
    let saved = job.place.path("saved");
    assert_eq!(job.child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_to_string(saved).unwrap(), "TERM\n");
    assert_eq!(job.end().1, None);
}

#[test]
fn a_slurm_job_ends_with_the_exit_code_of_its_run() {
    for code in [0, 1, 5] {
        assert_eq!(Job::start(Some(code)).end(), (Some(code), None));
    }
    let text = read("contrib/slurm.sh");
    let signal = text.lines().find_map(|line| line.strip_prefix("#SBATCH --signal=")).unwrap();
    assert_eq!(signal, "B:USR1@300", "the script waits for this signal");
    let sections = [
        "job-name",
        "array",
        "nodes",
        "ntasks",
        "cpus-per-task",
        "mem",
        "gres",
        "time",
        "requeue",
        "open-mode",
    ];
    for option in sections {
        assert!(text.lines().any(|line| line.starts_with(&format!("#SBATCH --{option}"))), "{option}");
    }
}
