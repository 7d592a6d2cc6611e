//! `amdim-stream runs`.

use std::fs;

use serde_json::Value;

use super::support::{command, made_up, records, train};
use crate::support::{Place, run, succeed};

#[test]
fn runs_below_a_folder_are_listed_with_their_state_and_numbers() {
    let place = Place::new();
    fs::create_dir_all(place.path("runs/deep")).unwrap();
    let one = train(&place, "runs/one");
    made_up(&place, "runs/deep/two", &one, &records(3, |_| false));
    made_up(&place, "runs/one/previous", &one, &records(3, |_| false));
    fs::create_dir(place.path("runs/other")).unwrap();
    fs::write(place.path("runs/other/config.toml"), "a = 1").unwrap();
    let said = succeed(&mut command(&place, &["runs", "runs"]));
    let rows: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{rows:#?}");
    let of = |name: &str| rows.iter().find(|row| row["run"] == name).unwrap();
    let (one, two) = (of("runs/one"), of("runs/deep/two"));
    assert_eq!((&one["state"], &one["step"], &one["steps"]), (&"finished".into(), &12.into(), &12.into()));
    assert_eq!((&one["method"], &one["encoder"]), (&"amdim".into(), &"amdim 4·16·1".into()));
    assert!(["loss", "chance", "linear", "mlp", "knn"].iter().all(|name| one[name].is_number()), "{one}");
    assert!(one["age_seconds"].as_f64().unwrap() >= 0.0 && one["changed"].is_string(), "{one}");
    assert_eq!((&two["state"], &two["step"], &two["knn"]), (&"interrupted".into(), &3.into(), &Value::Null));
    // A run folder itself may be named.
    assert_eq!(succeed(&mut command(&place, &["runs", "runs/one"])).stdout.lines().count(), 1);
    let said = run(&mut command(&place, &["runs", "cache"]));
    assert!(said.code == Some(2) && said.stderr.contains("there is no run in `cache`"), "{}", said.stderr);
    let said = run(&mut command(&place, &["runs", "nowhere"]));
    assert!(said.code == Some(2) && said.stderr.contains("cannot list `nowhere`"), "{}", said.stderr);
}
