//! The scripts for torchrun, with a stand-in that writes down what it is called with.

use std::fs;

use super::support::{parse, root, script, shell};
use crate::support::{Place, Said, run};

/// Runs a script of `contrib/torchrun` with variables such as `GPUS=4` and arguments. Returns what it said, and the arguments of
/// torchrun and those of the program.
fn call(name: &str, variables: &[&str], arguments: &[&str]) -> (Said, Vec<String>, Vec<String>) {
    let place = Place::new();
    let mut shell = shell(&place);
    script(&place.path("bin/torchrun"), r#"printf '%s\n' "$@" > "$TOLD""#);
    let variables = variables.iter().map(|variable| variable.split_once('=').unwrap());
    let said = run(shell.envs(variables).arg(root(&format!("contrib/torchrun/{name}"))).args(arguments));
    let told = fs::read_to_string(place.path("told")).unwrap_or_default();
    let mut of_torchrun: Vec<_> = told.lines().map(str::to_owned).collect();
    let program = of_torchrun.iter().position(|word| word == "amdim-stream").unwrap_or(of_torchrun.len());
    let of_program = of_torchrun.split_off(program).into_iter().skip(1).collect();
    (said, of_torchrun, of_program)
}

/// Checks the arguments of the program: that it accepts them, and that `processes` divide its batch.
fn check(arguments: &[String], processes: usize, name: &str) {
    parse(arguments, name);
    let at = arguments.iter().position(|word| word == "--batch-size").unwrap();
    assert!(arguments[at + 1].parse::<usize>().unwrap().is_multiple_of(processes), "{name}: {arguments:?}");
    assert!(
        arguments.ends_with(&["--steps", "7"].map(str::to_owned)),
        "{name} passes flags on: {arguments:?}"
    );
}

#[test]
fn torchrun_starts_a_process_for_each_gpu_of_a_machine() {
    for (variables, gpus, port) in [(&[][..], 8, "29500"), (&["GPUS=4", "PORT=29501"], 4, "29501")] {
        let (said, of_torchrun, of_program) = call("one-machine.sh", variables, &["--steps", "7"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let expected = format!(
            "--no-python --nproc-per-node {gpus} --master-addr 127.0.0.1 --master-port {port} --max-restarts 3"
        );
        assert_eq!(of_torchrun.join(" "), expected);
        check(&of_program, gpus, "one-machine.sh");
    }
}

#[test]
fn torchrun_is_called_alike_on_two_machines_but_for_their_numbers() {
    for machine in ["0", "1"] {
        let arguments = [machine, "gpu-a", "--steps", "7"];
        let (said, of_torchrun, of_program) = call("two-machines.sh", &["GPUS=4"], &arguments);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let expected = format!(
            "--no-python --nnodes 2 --node-rank {machine} --nproc-per-node 4 --master-addr gpu-a --master-port 29500 \
             --max-restarts 3"
        );
        assert_eq!(of_torchrun.join(" "), expected);
        check(&of_program, 8, "two-machines.sh");
    }
}

#[test]
fn without_the_number_of_a_machine_nothing_is_started() {
    for arguments in [&[][..], &["0"], &["2", "gpu-a"], &["gpu-a", "0"]] {
        let (said, of_torchrun, of_program) = call("two-machines.sh", &[], arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.stderr.contains("0|1 NAME-OF-MACHINE-0"), "{}", said.stderr);
        assert!(of_torchrun.is_empty() && of_program.is_empty(), "{arguments:?}");
    }
}
