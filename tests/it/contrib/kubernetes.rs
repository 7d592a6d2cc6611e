//! The job of Kubernetes.

use std::{collections::BTreeSet, fs};

use amdim_stream::config;
use yaml_rust2::{Yaml, YamlLoader};

use super::support::{parse, read};
use crate::support::Place;

/// Returns the texts of a YAML list.
pub(super) fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Returns the values of a key in a list of objects.
pub(super) fn names<'a>(list: &'a Yaml, key: &str) -> BTreeSet<&'a str> {
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
