//! The jobs of Kubernetes with several pods.

use std::{collections::BTreeMap, fs};

use amdim_stream::{
    config::{self, Config},
    world::{Launch, Launcher},
};
use yaml_rust2::{Yaml, YamlLoader};

use super::{
    kubernetes::{names, texts},
    support::{parse, read, script, shell},
};
use crate::support::{Place, succeed};

/// The documents of a file.
struct Documents(Vec<Yaml>);

impl Documents {
    fn of(name: &str) -> Self {
        Self(YamlLoader::load_from_str(&read(&format!("contrib/kubernetes/{name}"))).unwrap())
    }

    /// Returns the documents of a kind by name.
    fn of_kind(&self, kind: &str) -> BTreeMap<&str, &Yaml> {
        let of_kind = self.0.iter().filter(|document| document["kind"].as_str() == Some(kind));
        of_kind.map(|document| (document["metadata"]["name"].as_str().unwrap(), document)).collect()
    }

    /// Returns the only document of a kind with its name.
    fn only(&self, kind: &str) -> (&str, &Yaml) {
        let found = self.of_kind(kind);
        assert_eq!(found.len(), 1, "{kind}");
        found.into_iter().next().unwrap()
    }

    /// Returns the settings of the run.
    fn config(&self) -> Config {
        let place = Place::new();
        let text = self.only("ConfigMap").1["data"]["train.toml"].as_str().unwrap();
        fs::write(place.path("train.toml"), text).unwrap();
        Config::resolve(&config::read(&place.path("train.toml")).unwrap()).unwrap()
    }

    /// Checks a pod: time to save, arguments, and volumes, whose claims and settings the file has. Returns the claims that the
    /// pod can write to, each with its access mode.
    fn check_pod<'a>(&'a self, pod: &'a Yaml) -> Vec<(&'a str, &'a str)> {
        assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() >= 120);
        let container = &pod["containers"][0];
        parse(&texts(&container["args"]), "a pod");
        assert_eq!(names(&container["volumeMounts"], "name"), names(&pod["volumes"], "name"));
        let settings = &container["args"][0].as_str().unwrap()["--config=".len()..];
        let mounts = container["volumeMounts"].as_vec().unwrap();
        let mount = |name: &str| mounts.iter().find(|mount| mount["name"].as_str() == Some(name)).unwrap();
        let mut writable = Vec::new();
        for volume in pod["volumes"].as_vec().unwrap() {
            let mount = mount(volume["name"].as_str().unwrap());
            if let Some(name) = volume["configMap"]["name"].as_str() {
                assert_eq!(name, self.only("ConfigMap").0);
                let folder = mount["mountPath"].as_str().unwrap();
                assert_eq!(settings, format!("{folder}/train.toml"));
            }
            let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() else { continue };
            let mode =
                self.of_kind("PersistentVolumeClaim")[claim]["spec"]["accessModes"][0].as_str().unwrap();
            match mount["readOnly"].as_bool() {
                Some(true) => {
                    assert_eq!((claim.rsplit('-').next().unwrap(), mode), ("shards", "ReadOnlyMany"));
                }
                _ => writable.push((claim, mode)),
            }
        }
        writable
    }
}

/// Returns the variables of a container.
fn variables(container: &Yaml) -> BTreeMap<String, String> {
    let text =
        |value: &Yaml| value.as_str().expect("a variable is a text, also if it is a number").to_owned();
    let list = container["env"].as_vec().unwrap();
    list.iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

/// Returns the place of a process with these variables.
fn launch(variables: &BTreeMap<String, String>) -> Launch {
    Launch::find(|name| variables.get(name).cloned()).unwrap().unwrap()
}

#[test]
fn the_pods_of_an_indexed_job_have_names_ranks_and_volumes_that_fit() {
    let documents = Documents::of("indexed-job.yaml");
    let (name, job) = documents.only("Job");
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"));
    let pods = spec["completions"].as_i64().unwrap();
    assert_eq!(spec["parallelism"].as_i64(), Some(pods), "all processes must run at the same time");
    let pod = &spec["template"]["spec"];
    let variables = variables(&pod["containers"][0]);
    assert_eq!(variables["WORLD_SIZE"], pods.to_string());
    assert!(documents.config().train.batch_size.unwrap().is_multiple_of(usize::try_from(pods).unwrap()));

    let (service_name, service) = documents.only("Service");
    assert_eq!(service["spec"]["clusterIP"].as_str(), Some("None"), "only headless services name pods");
    assert_eq!(service["spec"]["publishNotReadyAddresses"].as_bool(), Some(true));
    let labels = spec["template"]["metadata"]["labels"].as_hash().unwrap();
    let selector = service["spec"]["selector"].as_hash().unwrap();
    assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?}");
    assert_eq!(pod["subdomain"].as_str(), Some(service_name));
    // The Job names its pods NAME-INDEX.
    assert_eq!(variables["MASTER_ADDR"], format!("{name}-0.{service_name}"));
    assert_eq!(service["spec"]["ports"][0]["port"].as_i64().unwrap().to_string(), variables["MASTER_PORT"]);

    let writable = documents.check_pod(pod);
    assert_eq!(writable, [("amdim-pods-data", "ReadWriteMany")], "all pods of a Job mount the run folder");
}

#[test]
fn an_indexed_job_replaces_stopped_and_lost_pods_but_not_those_with_wrong_settings() {
    let documents = Documents::of("indexed-job.yaml");
    let spec = &documents.only("Job").1["spec"];
    assert_eq!(spec["backoffLimit"].as_i64(), spec["completions"].as_i64().map(|pods| 3 * pods));
    assert_eq!(spec["podReplacementPolicy"].as_str(), Some("Failed"), "podFailurePolicy allows no other");
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"), "podFailurePolicy requires it");
    let rules = spec["podFailurePolicy"]["rules"].as_vec().unwrap();
    let mut found = Vec::new();
    for rule in rules {
        let codes = &rule["onExitCodes"];
        let is_complete = codes.is_badvalue()
            || (codes["containerName"] == pod["containers"][0]["name"]
                && codes["operator"].as_str() == Some("In"));
        assert!(is_complete, "{rule:?}");
        let condition = rule["onPodConditions"][0]["type"].as_str();
        found.push((rule["action"].as_str().unwrap(), condition, codes["values"][0].as_i64()));
    }
    let disrupted = ("Ignore", Some("DisruptionTarget"), None);
    assert_eq!(found, [disrupted, ("Ignore", None, Some(130)), ("FailJob", None, Some(2))]);
}

#[test]
fn the_command_of_an_indexed_job_turns_its_index_into_the_rank() {
    let documents = Documents::of("indexed-job.yaml");
    let container = &documents.only("Job").1["spec"]["template"]["spec"]["containers"][0];
    let (command, arguments) = (texts(&container["command"]), texts(&container["args"]));
    assert_eq!(command[0], "/bin/sh", "images have no other shell");
    for index in 0..4 {
        let place = Place::new();
        let stand_in = r#"{ printf '%s\n' "$@"; echo --; env; } > "$TOLD""#;
        let mut shell = shell(&place);
        script(&place.path("bin/amdim-stream"), stand_in);
        // `command` begins with the shell.
        shell.args(&command[1..]).args(&arguments);
        succeed(shell.envs(variables(container)).env("JOB_COMPLETION_INDEX", index.to_string()));
        let told = fs::read_to_string(place.path("told")).unwrap();
        let (words, environment) = told.split_once("--\n").unwrap();
        assert_eq!(words.lines().collect::<Vec<_>>(), arguments);
        let given = environment.lines().filter_map(|line| line.split_once('='));
        let given: BTreeMap<_, _> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let launch = launch(&given);
        assert_eq!((launch.rank, launch.size, launch.local_rank, launch.local_size), (index, 4, 0, 1));
        assert_eq!((&launch.host[..], launch.port), ("amdim-pods-0.amdim-pods", 29500));
        assert_eq!(launch.launcher, Launcher::Variables);
    }
}

#[test]
fn only_the_master_of_a_pytorchjob_mounts_the_run_folder() {
    let documents = Documents::of("pytorchjob.yaml");
    let spec = &documents.only("PyTorchJob").1["spec"];
    let [master, worker] = ["Master", "Worker"].map(|role| &spec["pytorchReplicaSpecs"][role]);
    assert_eq!(documents.check_pod(&master["template"]["spec"]), [("amdim-job-data", "ReadWriteOnce")]);
    assert_eq!(documents.check_pod(&worker["template"]["spec"]), []);
    let container = |role: &Yaml| role["template"]["spec"]["containers"][0].clone();
    for part in ["args", "image", "resources", "securityContext", "ports"] {
        assert_eq!(container(master)[part], container(worker)[part], "{part}");
    }
    let folder = documents.config().out;
    assert!(folder.starts_with("/data/"), "{}", folder.display());
    assert_eq!(variables(&container(worker))["AMDIM_STREAM_CACHE"], "/tmp/cache", "workers have no /data");
}

#[test]
fn a_pytorchjob_follows_the_rules_of_its_operator() {
    let documents = Documents::of("pytorchjob.yaml");
    let (name, job) = documents.only("PyTorchJob");
    assert_eq!(job["apiVersion"].as_str(), Some("kubeflow.org/v1"));
    let spec = &job["spec"];
    assert_eq!(spec["nprocPerNode"].as_str(), Some("1"), "a text; the operator multiplies WORLD_SIZE by it");
    let mut pods = 0;
    for role in ["Master", "Worker"] {
        let replicas = &spec["pytorchReplicaSpecs"][role];
        assert_eq!(replicas["restartPolicy"].as_str(), Some("OnFailure"), "{role}");
        let pod = &replicas["template"]["spec"];
        assert!(pod["restartPolicy"].is_badvalue(), "the operator overwrites that of a pod");
        let container = &pod["containers"][0];
        assert_eq!(container["name"].as_str(), Some("pytorch"), "the operator looks for this name");
        assert_eq!(container["ports"][0]["name"].as_str(), Some("pytorchjob-port"));
        let own = variables(container);
        assert!(!own.contains_key("RANK") && !own.contains_key("MASTER_ADDR"), "{own:?}");
        for index in 0..replicas["replicas"].as_i64().unwrap() {
            // What the operator sets.
            let mut given = own.clone();
            given.insert("RANK".to_owned(), if role == "Master" { index } else { index + 1 }.to_string());
            given.insert("WORLD_SIZE".to_owned(), "4".to_owned());
            given.insert("MASTER_ADDR".to_owned(), format!("{name}-master-0"));
            given.insert(
                "MASTER_PORT".to_owned(),
                container["ports"][0]["containerPort"].as_i64().unwrap().to_string(),
            );
            assert_eq!(launch(&given).rank, pods);
            pods += 1;
        }
    }
    assert_eq!(pods, 4);
    assert_eq!(spec["runPolicy"]["backoffLimit"].as_i64(), Some(12));
    assert!(documents.config().train.batch_size.unwrap().is_multiple_of(pods));
}
