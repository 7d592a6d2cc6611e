//! The loop on a device whose numbers are read a step later. The host plays the device.

use serde_json::{Value, json};

use super::{Run, RunOutcome, tiny};
use crate::run::{folder::RunFolder, stop::Stop};
use crate::{checkpoint::Checkpoints, hint, metrics::read_lines};

/// Returns a run with a record every two steps and a checkpoint every five.
fn run(place: &std::path::Path, is_queued: bool) -> (Run, RunFolder) {
    let (mut run, folder) = tiny::run(place);
    run.is_queued = is_queued;
    run.config.run.log_every = 2;
    run.config.run.checkpoint_every = 5;
    run.config.run.validate_every = 1_000;
    (run, folder)
}

fn train_to(step: u64, run: &mut Run, folder: &RunFolder) -> anyhow::Result<RunOutcome> {
    run.steps = step;
    run.train(folder, &Stop::at(None), true)
}

/// Returns the records without the fields that a clock measures.
fn records(folder: &RunFolder) -> Vec<Value> {
    let mut records = read_lines(&folder.metrics).unwrap();
    let clocks = ["_us", "_ms", "_second", "data_wait", "bound", "bound_share", "cure"];
    for record in &mut records {
        let record = record.as_object_mut().unwrap();
        record.retain(|name, _| !clocks.iter().any(|clock| name.ends_with(clock)));
    }
    records
}

#[test]
fn a_run_whose_numbers_are_read_a_step_later_writes_the_same_records_and_checkpoints() {
    let _alone = crate::testing::lock_generator();
    let [prompt, late] = [false, true].map(|is_queued| {
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = run(place.path(), is_queued);
        assert_eq!(train_to(9, &mut run, &folder).unwrap(), RunOutcome::Finished);
        let loaded = Checkpoints::of(&folder.path).latest().unwrap().unwrap();
        (records(&folder), loaded.checksum)
    });
    let steps: Vec<_> = prompt.0.iter().map(|record| record["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2, 4, 6, 8, 9]);
    assert!(prompt.0.iter().all(|record| record["loss"].as_f64().unwrap() > 0.0), "{:?}", prompt.0);
    assert_eq!(prompt, late);
}

#[test]
fn numbers_that_are_not_finite_end_the_run_at_their_step_though_they_are_read_a_step_later() {
    let _alone = crate::testing::lock_generator();
    let [prompt, late] = [false, true].map(|is_queued| {
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = run(place.path(), is_queued);
        train_to(3, &mut run, &folder).unwrap();
        let mut weights = run.trainer.network().vars().trainable_variables();
        let _ = tch::no_grad(|| weights[0].fill_(f64::NAN));
        let error = hint::render(&train_to(9, &mut run, &folder).unwrap_err());
        assert!(error.starts_with("the loss of step 4 is not finite"), "{error}");
        assert_eq!(
            run.trainer.step_count(),
            if is_queued { 5 } else { 4 },
            "another step is queued meanwhile"
        );
        let text = std::fs::read(folder.crash.join("crash.json")).unwrap();
        let mut report: Value = serde_json::from_slice(&text).unwrap();
        report["last"]["train"] = json!(null); // which has times
        report["time"] = json!(null);
        for sample in report["samples"].as_array_mut().unwrap() {
            sample["shard"] = json!(null); // each run has its own folder
        }
        (report, records(&folder))
    });
    assert_eq!(prompt, late);
    assert_eq!((&prompt.0["step"], &prompt.0["has_state"]), (&json!(4), &json!(true)));
    assert_eq!(prompt.0["samples"].as_array().unwrap().len(), 4);
}
