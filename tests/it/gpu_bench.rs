//! Tests of `benches/gpu` that need no GPU.

use std::{path::Path, process::Command};

use torchkit::Piece;

/// Runs Python code in the folder of the scripts. Returns its output.
fn python(code: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join(".python"));
    let output = command.args(["-Bc", code]).current_dir(root.join("benches/gpu")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `torch.cuda.set_device` finds the number of a device by the function `_get_device_index`.
#[test]
fn a_gpu_without_a_number_is_device_0_for_pytorch() {
    let code = "import torch, torch_step\n\
                index = torch.cuda._utils._get_device_index\n\
                print([index(torch_step.named(name)) for name in ('cuda', 'cuda:0', 'cuda:3')], torch_step.named('cpu'))";
    assert_eq!(python(code).trim(), "[0, 0, 3] cpu");
}

#[test]
fn each_question_takes_at_most_ten_minutes_and_all_of_them_at_most_forty() {
    let code = "import run; print(max(run.SECONDS.values()) <= 600 and sum(run.SECONDS.values()) <= 2400, \
                all(hasattr(run.Bench, question) for question in run.SECONDS))";
    assert_eq!(python(code).trim(), "True True");
}

#[test]
fn every_fused_piece_is_timed_on_and_off() {
    let names = python("import run; print(*run.PIECES)");
    assert_eq!(names.split_whitespace().collect::<Vec<_>>(), Piece::ALL.map(Piece::name));
}

/// The mean of two measurements, 100 and 110 ms, is the time with all pieces.
#[test]
fn a_step_without_a_piece_is_compared_with_fused_steps_of_the_same_model() {
    let code = "import report\n\
                def step(size, without, ms):\n    \
                    found = {'ms': ms, 'without': without, 'bytes': 2e9, 'refused_products': 3}\n    \
                    return {'part': 'step', 'size': size, 'batch_size': 8, 'found': found}\n\
                parts = [step('a', [], 100.0), step('b', [], 500.0), step('a', ['norms'], 210.0), step('a', [], 110.0)]\n\
                answer = {'date': '', 'on': '', 'cores': 1, 'driver': '', 'dtype': 'f32', 'parts': parts}\n\
                print(report.markdown({'pieces': answer}))";
    let report = python(code);
    assert!(report.contains("| a | 8 | norms | 210.00 | 2.00 | 2.00 | 3 |"), "{report}");
    assert!(report.contains("| b | 8 | none | 500.00 | 1.00 | 2.00 | 3 |"), "{report}");
}

#[test]
fn a_program_that_ends_early_does_not_pass_its_checks() {
    let code = "import argparse, run\n\
                said = '{\"check\": \"a\", \"state\": \"ok\", \"found\": null}'\n\
                bench = run.Bench('check', argparse.Namespace(device='cpu', quick=True), '.')\n\
                for end in ('exit 0', 'kill -SEGV $$', 'exit 124'):\n    \
                    found = bench.objects(['sh', '-c', f\"echo '{said}'; {end}\"], 60, may_fail=True)\n    \
                    print([check['state'] for check in found])";
    assert_eq!(python(code).trim(), "['ok']\n['ok', 'bad']\n['ok', 'bad']");
}

#[test]
fn losses_of_two_processes_must_be_those_of_one() {
    let code = "import processes\n\
                of = lambda *losses: [{'step': step, 'loss': loss} for step, loss in enumerate(losses)]\n\
                for two in (of(5.0, 4.0003), of(5.0, 4.001), of(5.0, float('nan')), of(5.0)):\n    \
                    try: print(processes.same_losses(of(5.0, 4.0), two)['steps'])\n    \
                    except RuntimeError as why: print(why)";
    let found = python(code);
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(lines[0], "2");
    assert!(lines[1].contains("differ by 2.5e-04") && lines[2].contains("differ by nan"), "{lines:?}");
    assert_eq!(lines[3], "2 records in one process, 1 in two");
}

#[test]
fn two_processes_are_skipped_with_one_gpu() {
    let code = "import argparse, tempfile, run, types\n\
                from pathlib import Path\n\
                args = argparse.Namespace(device='cuda:0', quick=True, out=Path(tempfile.mkdtemp()))\n\
                bench = run.Bench('processes', args, args.out)\n\
                bench.said = lambda *_: types.SimpleNamespace(stdout='1\\n')\n\
                bench.processes()\n\
                print(bench.answer['parts'][0]['found']['skipped'])";
    assert_eq!(python(code).trim(), "two GPUs are needed; visible: 1");
}
