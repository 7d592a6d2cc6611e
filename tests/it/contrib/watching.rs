//! The scripts that copy records to other programs, with stand-ins of the packages of these.

use std::{fs, process::Command};

use serde_json::{Value, json};

use super::support::root;
use crate::support::{Place, succeed};

/// Stand-ins of `wandb` and `mlflow` that print what they are given.
const STAND_INS: [(&str, &str); 2] = [
    (
        "wandb",
        "import contextlib, json\nclass Run:\n    def log(self, numbers, step):\n        print(json.dumps([step, numbers]))\n\
         @contextlib.contextmanager\ndef init(name, config):\n    print(json.dumps([name, config]))\n    yield Run()\n",
    ),
    (
        "mlflow",
        "import contextlib, json\ndef log_params(params):\n    print(json.dumps(params))\n\
         def log_metrics(numbers, step):\n    print(json.dumps([step, numbers]))\n\
         @contextlib.contextmanager\ndef start_run(run_name):\n    print(json.dumps(run_name))\n    yield\n",
    ),
];

/// Returns what the script for a package gives to its stand-in for a run whose last record is cut.
fn given(package: &str) -> Vec<Value> {
    let place = Place::new();
    fs::create_dir_all(place.path("mine")).unwrap();
    for (name, text) in STAND_INS {
        fs::write(place.path(&format!("{name}.py")), text).unwrap();
    }
    let records = "{\"format\":1,\"kind\":\"train\",\"step\":2,\"loss\":1.5,\"bound\":\"data\"}\n\
                   {\"format\":1,\"kind\":\"validation\",\"step\":2,\"knn\":0.5}\n{\"kind\":\"train\",\"step\":4";
    fs::write(place.path("mine/metrics.jsonl"), records).unwrap();
    fs::write(place.path("mine/config.toml"), "seed = 7\n[run]\nkeep = 3\n").unwrap();
    let mut command = Command::new("python3");
    command.arg("-B").arg(root(&format!("contrib/to_{package}.py"))).arg(place.path("mine"));
    let said = succeed(command.env("PYTHONPATH", place.path("")));
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_records_and_settings_of_a_run_are_copied_to_other_programs() {
    let records = [json!([2, {"train/loss": 1.5}]), json!([2, {"validation/knn": 0.5}])];
    let of_wandb = given("wandb");
    assert_eq!(of_wandb[0], json!(["mine", {"seed": 7, "run": {"keep": 3}}]));
    assert_eq!(of_wandb[1..], records);
    let of_mlflow = given("mlflow");
    assert_eq!(of_mlflow[..2], [json!("mine"), json!({"seed": 7, "run.keep": 3})]);
    assert_eq!(of_mlflow[2..], records);
}
