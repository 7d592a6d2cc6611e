//! The loop on a device whose numbers are read a step later. The host plays the device.

use serde_json::{Value, json};

use super::{Run, RunOutcome, displays::Displays, tiny};
use crate::run::{folder::RunFolder, stop::Stop};
use crate::{
    checkpoint::{Checkpoints, HostCopies},
    config::Metric,
    hint,
    metrics::read_lines,
};

/// Returns a run with a record every two steps and a checkpoint every five.
fn run(place: &std::path::Path, is_queued: bool) -> (Run, RunFolder) {
    let (mut run, folder) = tiny::run(place);
    run.is_queued = is_queued;
    run.host_copies = HostCopies::new(None, is_queued);
    run.config.run.log_every = 2;
    run.config.run.checkpoint_every = 5;
    run.config.run.validate_every = 1_000;
    (run, folder)
}

fn train_to(step: u64, run: &mut Run, folder: &RunFolder) -> anyhow::Result<RunOutcome> {
    run.steps = step;
    run.train(folder, &Stop::at(None), Displays::default())
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

/// Returns the files of all checkpoints, without the folder of the run in their settings.
fn files(folder: &RunFolder) -> Vec<Vec<u8>> {
    let steps = Checkpoints::of(&folder.path).steps().unwrap();
    let names = ["model.safetensors", "optimizer.safetensors", "state.json"];
    let paths = steps.iter().flat_map(|step| names.map(|name| format!("checkpoints/step-{step:08}/{name}")));
    let read = |path: String| {
        let bytes = std::fs::read(folder.path.join(&path)).unwrap();
        if !path.ends_with("json") {
            return bytes;
        }
        let state: Value = serde_json::from_slice(&bytes).unwrap();
        let state = &state["content"]["state"];
        [&state["step"], &state["position"]].map(Value::to_string).concat().into_bytes()
    };
    paths.map(read).collect()
}

/// Validations fall on steps with and without a checkpoint, and before and after the best value.
#[test]
fn a_run_whose_numbers_are_read_a_step_later_writes_the_same_records_and_checkpoints() {
    let _alone = crate::testing::lock_generator();
    let [prompt, late] = [false, true].map(|is_queued| {
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = run(place.path(), is_queued);
        run.data.validation = Some(run.data.train.clone());
        (run.config.run.validate_every, run.config.run.best) = (2, Some(Metric::Linear));
        assert_eq!(train_to(9, &mut run, &folder).unwrap(), RunOutcome::Finished);
        let best = folder.checkpoints.best().unwrap();
        assert!(folder.path.join("checkpoints/best").exists());
        (records(&folder), best, files(&folder))
    });
    let steps: Vec<_> = prompt.0.iter().map(|record| record["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2, 4, 4, 6, 8, 8, 9, 9]);
    let losses = prompt.0.iter().filter_map(|record| record["loss"].as_f64());
    assert_eq!(losses.filter(|&loss| loss > 0.0).count(), 5, "{:?}", prompt.0);
    assert!(prompt.2.len() >= 6, "two checkpoints of three files at least");
    assert_eq!((&prompt.0, &prompt.1), (&late.0, &late.1));
    assert!(prompt.2 == late.2, "the checkpoints differ");
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

/// A moment of Adam that is infinite leaves the loss as it is.
#[test]
fn tensors_that_are_not_finite_end_the_run_and_are_not_saved() {
    let _alone = crate::testing::lock_generator();
    let [prompt, late] = [false, true].map(|is_queued| {
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = run(place.path(), is_queued);
        train_to(3, &mut run, &folder).unwrap();
        let (_, mut moment) = run.trainer.moments().pop_last().unwrap();
        let _ = moment.fill_(f64::INFINITY);
        let error = hint::render(&train_to(9, &mut run, &folder).unwrap_err());
        assert!(
            error.starts_with("the parameters are not finite after step 5, so it is not saved"),
            "{error}"
        );
        assert_eq!(folder.checkpoints.steps().unwrap(), [3]);
        (error, records(&folder))
    });
    assert_eq!(prompt, late);
}

#[test]
fn a_validation_of_a_run_that_has_diverged_has_no_record() {
    let _alone = crate::testing::lock_generator();
    let [prompt, late] = [false, true].map(|is_queued| {
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = run(place.path(), is_queued);
        run.data.validation = Some(run.data.train.clone());
        (run.config.run.validate_every, run.config.run.checkpoint_every) = (2, 4);
        train_to(3, &mut run, &folder).unwrap();
        let mut weights = run.trainer.network().vars().trainable_variables();
        let _ = tch::no_grad(|| weights[0].fill_(f64::NAN));
        let error = hint::render(&train_to(9, &mut run, &folder).unwrap_err());
        assert!(error.starts_with("the loss of step 4 is not finite"), "{error}");
        assert_eq!((run.trainer.step_count(), folder.checkpoints.steps().unwrap()), (4, vec![3]));
        records(&folder)
    });
    let kinds: Vec<_> = prompt.iter().map(|record| (&record["kind"], &record["step"])).collect();
    assert_eq!(
        kinds,
        [(&json!("train"), &json!(2)), (&json!("train"), &json!(3)), (&json!("validation"), &json!(3))]
    );
    assert_eq!(prompt, late);
}

/// A file in the place of the folder of checkpoints stands for a disk that refuses to write.
#[test]
fn a_checkpoint_that_cannot_be_written_while_training_goes_on_ends_the_run() {
    let _alone = crate::testing::lock_generator();
    let [prompt, late] = [false, true].map(|is_queued| {
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = run(place.path(), is_queued);
        std::fs::write(folder.path.join("checkpoints"), "").unwrap();
        let error = hint::render(&train_to(1_000, &mut run, &folder).unwrap_err());
        assert!(run.trainer.step_count() < 1_000, "the run went on");
        error.replace(&place.path().display().to_string(), "")
    });
    assert!(prompt.starts_with("cannot write the checkpoint `/run/checkpoints/step-00000005`"), "{prompt}");
    assert_eq!(prompt, late);
}

#[test]
fn a_checkpoint_that_is_due_when_the_next_step_fails_is_written() {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir().unwrap();
    let (mut run, folder) = run(place.path(), true);
    run.steps = 9;
    let mut output = super::output::Output::open(&folder, &run, Displays::default()).unwrap();
    let mut feed = run.feed().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..5 {
            let batch = feed.next().unwrap().unwrap();
            run.step(&batch, &mut feed, &mut output).unwrap();
        }
        torchkit::caught(|| panic!("as by a defect")).unwrap();
    }));
    assert!(panicked.is_err() && run.pending.is_some());
    run.rescue_checkpoint(&folder);
    drop(run);
    assert_eq!(Checkpoints::of(&folder.path).latest_state().unwrap().unwrap().step, 5);
}
