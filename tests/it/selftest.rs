//! `selftest` on the CPU.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::support::{Place, Said, program, run, succeed};

/// Returns the results by the names of the checks. Each must have a line in words, too.
fn results(said: &Said) -> BTreeMap<String, Value> {
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = lines.len();
    let mut results = BTreeMap::new();
    for result in lines {
        let [name, state] = ["check", "state"].map(|key| result[key].as_str().unwrap().to_owned());
        assert!(said.stderr.contains(&format!("{name} {state}: ")), "{name}: {}", said.stderr);
        assert_eq!(result["hint"].is_null(), state != "bad", "{result}");
        assert!(result["seconds"].as_f64().unwrap() >= 0.0, "{result}");
        results.insert(name, result);
    }
    assert_eq!(results.len(), count, "every check has a name of its own");
    results
}

#[test]
fn every_check_holds_on_the_cpu_or_says_why_it_is_skipped() {
    let said = succeed(program().args(["selftest", "--device", "cpu"]));
    let results = results(&said);
    for (name, result) in &results {
        let is_for_gpus = ["tf32", "graph", "allocator"].iter().any(|word| name.contains(word));
        assert_eq!(result["state"], if is_for_gpus { "skipped" } else { "ok" }, "{result}");
        assert!(!is_for_gpus || result["found"].as_str().unwrap().contains("GPUs"), "{result}");
    }
    let methods = ["amdim", "cmc", "cpc", "exemplar", "instdisc", "moco", "simclr"];
    for precision in ["f32", "f64"] {
        let cases = &results[&format!("golden tensors in {precision}")]["found"]["cases"];
        assert!(methods.iter().all(|method| cases[method] == 1), "a case of each method: {cases}");
    }
    assert!(said.stderr.contains("11 of 15 checks hold on cpu, 4 are skipped"), "{}", said.stderr);
}

/// Copies the case of a small network to the folder, with another last number.
fn damage_a_case(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/methods");
    let name = "case_exemplar_small_32";
    fs::copy(fixtures.join(name).with_extension("json"), folder.join(name).with_extension("json")).unwrap();
    let file = Path::new(name).with_extension("safetensors");
    let mut bytes = fs::read(fixtures.join(&file)).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&1e3f32.to_le_bytes());
    fs::write(folder.join(file), bytes).unwrap();
}

#[test]
fn a_wrong_number_fails_its_checks_alone_and_the_error_says_what_to_do() {
    let place = Place::new();
    damage_a_case(&place.path("golden"));
    let said = run(program().args(["selftest", "--device", "cpu", "--golden"]).arg(place.path("golden")));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let bad = ["golden tensors in f32", "golden tensors in f64"];
    for (name, result) in results(&said) {
        assert_eq!(result["state"] == "bad", bad.contains(&name.as_str()), "{result}");
        assert!(
            result["state"] != "bad" || result["found"].as_str().unwrap().contains("exemplar_small_32"),
            "{result}"
        );
    }
    let error = said.stderr.rsplit("ERROR ").next().unwrap();
    assert!(
        error.starts_with("2 of 15 checks are bad on cpu: golden tensors in f32, golden tensors in f64"),
        "{error}"
    );
    assert!(error.contains("hint: do not train on this machine"), "{error}");
}

#[test]
fn a_folder_without_golden_tensors_is_refused_before_the_checks() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    for folder in ["empty", "missing"] {
        let said = run(program().args(["selftest", "--device", "cpu", "--golden"]).arg(place.path(folder)));
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
        assert!(said.stderr.contains("hint: leave out --golden"), "{}", said.stderr);
    }
}
