//! The examples in `contrib`.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use amdim_stream::{cli::Cli, config};
use clap::{Parser, error::ErrorKind};
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::{Place, run, succeed};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(root(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Writes an executable shell script.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns a shell in which `amdim-stream` is a script that writes its arguments to the file `told`.
fn shell(place: &Place) -> Command {
    script(&place.path("bin/amdim-stream"), r#"printf '%s\n' "$@" > "$TOLD""#);
    fs::create_dir_all(place.path("logs")).unwrap();
    let mut shell = Command::new("/bin/sh");
    let search = format!("{}:/usr/bin:/bin", place.path("bin").display());
    shell.env_clear().env("PATH", search).env("TOLD", place.path("told")).current_dir(place.path(""));
    shell
}

/// Returns the arguments that a line of shell gives to the program.
pub(crate) fn words(place: &Place, line: &str) -> Vec<String> {
    let _ = fs::remove_file(place.path("told"));
    let said = run(shell(place).args(["-c", line]));
    assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
    let told =
        fs::read_to_string(place.path("told")).unwrap_or_else(|_| panic!("{line} does not call the program"));
    told.lines().map(str::to_owned).collect()
}

/// Panics if the program does not accept these arguments.
pub(crate) fn parse<S: AsRef<str>>(words: &[S], from: &str) {
    let words = std::iter::once("amdim-stream").chain(words.iter().map(AsRef::as_ref));
    if let Err(error) = Cli::try_parse_from(words) {
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{from}\n{error}");
    }
}

/// Returns the files in a folder and the folders below it.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Returns the part of a command that cron gives to the shell: `\%` is a percent sign, and an unescaped % ends the command.
fn as_cron_does(command: &str) -> String {
    let mut text = String::new();
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'%') => {
                text.extend(characters.next());
            }
            '%' => break,
            other => text.push(other),
        }
    }
    text
}

#[test]
fn the_lines_of_the_crontab_run_under_the_rules_of_cron() {
    assert_eq!(as_cron_does(r"date +\%F %input"), "date +%F ");
    let place = Place::new();
    let home = place.path("home");
    fs::create_dir(&home).unwrap();
    let text = read("contrib/crontab").replace("/srv/amdim", home.to_str().unwrap());
    let is_setting =
        |line: &str| line.split_once('=').is_some_and(|(name, _)| !name.contains(char::is_whitespace));
    let mut told = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && !is_setting(line)) {
        let fields: Vec<_> = line.splitn(6, char::is_whitespace).collect();
        let [times @ .., command] = fields.as_slice() else { panic!("{line}") };
        assert_eq!(times.len(), 5, "{line}");
        let is_time = |field: &&str| field.chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c));
        assert!(times.iter().all(is_time), "{line}");
        let words = words(&place, &as_cron_does(command));
        parse(&words, line);
        told.push(words);
    }
    assert_eq!(told.len(), 2);
    assert!(home.join("logs/doctor.jsonl").exists());
    let after = |flag: &str| &told[0][told[0].iter().position(|word| word == flag).unwrap() + 1];
    assert_eq!(after("--gate"), "knn>=0.95*previous");
    let date = after("--summary").strip_prefix("logs/").unwrap().strip_suffix(".json").unwrap();
    assert!(date.len() == 10 && date.split('-').count() == 3, "{date}");
}

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

/// Returns the settings of a systemd unit: section, key and value.
fn unit(name: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in read(name).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix('[') {
            title.strip_suffix(']').unwrap().clone_into(&mut section);
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
            settings.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    settings
}

#[test]
fn the_systemd_units_are_valid_and_save_in_time() {
    let service = unit("contrib/systemd/amdim-stream.service");
    let value = |key: &str| {
        let found = service.iter().find(|(section, name, _)| section == "Service" && name == key);
        found.unwrap_or_else(|| panic!("no {key}")).2.as_str()
    };
    assert_eq!(
        (value("KillSignal"), value("KillMode"), value("TimeoutStopSec")),
        ("SIGTERM", "mixed", "10min")
    );
    let codes: Vec<_> = value("SuccessExitStatus").split(' ').collect();
    assert_eq!(codes, ["3", "4", "130"], "a gate that is not passed is a failure");
    assert!(value("ExecStart").contains(" --exit-code-unchanged "));
    let timer = unit("contrib/systemd/amdim-stream.timer");
    assert!(timer.contains(&("Timer".to_owned(), "Persistent".to_owned(), "true".to_owned())));
    assert!(timer.iter().any(|(section, key, _)| section == "Timer" && key == "OnCalendar"));

    let place = Place::new();
    let _ = shell(&place);
    for kind in ["service", "timer"] {
        let text = read(&format!("contrib/systemd/amdim-stream.{kind}"));
        let text = text.replace("/usr/local/bin", place.path("bin").to_str().unwrap());
        fs::write(place.path(&format!("amdim-stream.{kind}")), text).unwrap();
    }
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args(["service", "timer"].map(|kind| place.path(&format!("amdim-stream.{kind}"))));
    match verify.output() {
        Err(_) => {} // no systemd here
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let ours: Vec<_> = said.lines().filter(|line| line.contains("amdim-stream")).collect();
            assert!(ours.is_empty(), "{said}");
        }
    }
}

/// Returns the texts of a YAML list.
fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Returns the values of a key in a list of objects.
fn names<'a>(list: &'a Yaml, key: &str) -> BTreeSet<&'a str> {
    list.as_vec().unwrap().iter().map(|object| object[key].as_str().unwrap()).collect()
}

#[test]
fn the_kubernetes_job_is_consistent() {
    let place = Place::new();
    let documents = YamlLoader::load_from_str(&read("contrib/kubernetes/cronjob.yaml")).unwrap();
    let of_kind = |kind: &str| {
        documents.iter().filter(|document| document["kind"].as_str() == Some(kind)).collect::<Vec<_>>()
    };
    let job = &of_kind("CronJob")[0]["spec"];
    assert_eq!(job["concurrencyPolicy"].as_str(), Some("Forbid"));
    assert_eq!(job["schedule"].as_str().unwrap().split(' ').count(), 5);
    let spec = &job["jobTemplate"]["spec"];
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"), "podFailurePolicy requires it");
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() >= 120);
    let container = &pod["containers"][0];
    parse(&texts(&container["args"]), "cronjob.yaml");

    let rules = spec["podFailurePolicy"]["rules"].as_vec().unwrap();
    assert_eq!(
        rules[0]["onPodConditions"][0]["type"].as_str(),
        Some("DisruptionTarget"),
        "the rule precedes those of exit codes"
    );
    assert_eq!(rules[1]["onExitCodes"]["containerName"], container["name"]);
    let codes: Vec<_> = rules[1]["onExitCodes"]["values"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|code| code.as_i64().unwrap())
        .collect();
    assert_eq!(codes, [2, 5]);

    assert_eq!(names(&container["volumeMounts"], "name"), names(&pod["volumes"], "name"));
    let metadata = |kind: &str| {
        of_kind(kind)
            .iter()
            .map(|document| document["metadata"]["name"].as_str().unwrap())
            .collect::<BTreeSet<_>>()
    };
    let volumes = pod["volumes"].as_vec().unwrap();
    let claims: BTreeSet<_> =
        volumes.iter().filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str()).collect();
    assert_eq!(claims, metadata("PersistentVolumeClaim"));
    assert!(metadata("ConfigMap").contains(volumes[0]["configMap"]["name"].as_str().unwrap()));
    let settings = of_kind("ConfigMap")[0]["data"]["nightly.toml"].as_str().unwrap();
    fs::write(place.path("nightly.toml"), settings).unwrap();
    config::Config::resolve(&config::read(&place.path("nightly.toml")).unwrap()).unwrap();
}

#[test]
fn the_settings_of_the_examples_are_valid() {
    config::Config::resolve(&config::read(&root("contrib/nightly.toml")).unwrap()).unwrap();
}

#[test]
fn the_dockerfile_names_stages_and_files_that_exist() {
    let text = read("contrib/Dockerfile").replace("\\\n", " ");
    let ignored = read(".dockerignore");
    let mut stages = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FROM", base, "AS", name] => {
                let is_ours = stages.contains(base);
                assert!(is_ours || base.contains(':'), "{line}: a stage, or an image with its version");
                assert!(base.split('/').count() == 1, "{line}: no registry");
                stages.push(*name);
            }
            ["COPY", from, source, _] if from.starts_with("--from=") => {
                assert!(stages.contains(&&from["--from=".len()..]), "{line}");
                assert!(
                    text.contains(&format!("{source}\n")) || text.contains(&format!("{source} ")),
                    "{line}"
                );
            }
            ["COPY", sources @ .., _] => {
                for source in sources {
                    assert!(root(source).exists() && !ignored.lines().any(|line| line == *source), "{line}");
                }
            }
            ["RUN", ..] => {
                let is_script = |word: &&&str| Path::new(word).extension().is_some_and(|end| end == "sh");
                for word in words.iter().filter(is_script) {
                    assert!(root(word).metadata().unwrap().permissions().mode() & 0o111 != 0, "{word}");
                }
            }
            [other, ..] => {
                let known = ["ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"];
                assert!(known.contains(other), "{line}");
            }
            [] => {}
        }
    }
    assert_eq!(stages, ["builder", "builder-cuda", "runtime", "cuda", "cpu"]);
    assert!(text.contains("USER 10001:10001"), "the program does not run as root");
    assert_eq!(read("contrib/kubernetes/cronjob.yaml").matches(": 10001").count(), 3, "the same user");
}

#[test]
fn a_gathered_folder_trains_without_the_checkout() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 40);
    let (built, folder) = (place.path("built"), place.path("folder"));
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream"), &built).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream-main"), place.path("amdim-stream-main")).unwrap();
    succeed(Command::new(root("contrib/gather.sh")).arg(&built).arg(&folder));
    let alone = || {
        let mut command = Command::new(folder.join("amdim-stream"));
        command.env_clear().current_dir(&folder);
        command
    };
    let version = succeed(alone().arg("--version")).stdout;
    assert!(version.starts_with(concat!("amdim-stream ", env!("CARGO_PKG_VERSION"))), "{version}");
    let found = succeed(alone().args(["doctor", "--device", "cpu", "--out", "run"])).stdout;
    let libraries = fs::canonicalize(folder.join("libtorch/lib")).unwrap();
    assert!(found.contains(&format!("`{}`", libraries.display())), "the libtorch of the folder: {found}");
    let mut train = place.train(&pattern, "run", &["--steps", "2"]);
    let arguments: Vec<_> = train.get_args().map(ToOwned::to_owned).collect();
    train = alone();
    succeed(train.args(arguments));
    assert!(place.path("run/checkpoints/step-00000002/model.safetensors").exists());
}
