use pipeline::Preset;
use tch::{Kind, Tensor};

use super::{super::tensors::hash, *};
use crate::{checkpoint::DataIdentity, config::Config, hint};
use shards::Position;

fn state(step: u64) -> State {
    State {
        step,
        position: Position { epoch: 1, offset: step },
        data: DataIdentity { digest: u64::MAX, samples: 10 },
        classes: Some(3),
        class_names: Vec::new(),
        config: Config::preset(Preset::C10),
    }
}

fn tensors(value: f64) -> Named {
    let weight = Tensor::full([2, 3], value, (Kind::Float, tch::Device::Cpu));
    [("weight".to_owned(), weight), ("count".to_owned(), Tensor::from(7i64))].into()
}

const KEEP: Retention = Retention { keep: 2, keep_every: 0 };

fn save(checkpoints: &Checkpoints, step: u64, retention: Retention) -> PathBuf {
    checkpoints.save(&state(step), &tensors(step as f64), &tensors(-1.0), retention).unwrap()
}

fn weight(loaded: &Loaded) -> f64 {
    let model = tensors(0.0);
    loaded.restore_model(&model).unwrap();
    model["weight"].double_value(&[1, 2])
}

#[test]
fn the_latest_checkpoint_has_the_state_and_tensors_that_were_saved() {
    let run = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(run.path());
    assert!(checkpoints.latest().unwrap().is_none());
    save(&checkpoints, 5, KEEP);
    save(&checkpoints, 40, KEEP);
    let loaded = checkpoints.latest().unwrap().unwrap();
    assert_eq!((loaded.state.clone(), weight(&loaded)), (state(40), 40.0));
}

#[test]
fn a_run_that_becomes_longer_has_its_new_length_in_all_checkpoints() {
    let run = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(run.path());
    for step in [10, 20, 30] {
        save(&checkpoints, step, Retention { keep: 3, keep_every: 0 });
    }
    fs::write(checkpoints.folder.join("step-00000010/model.safetensors"), "damaged").unwrap();
    let newest = checkpoints.latest().unwrap().unwrap();
    let mut longer = newest.state.clone();
    longer.config.train.steps = Some(99);
    checkpoints.restate_length(&newest, &longer).unwrap();
    for step in [20, 30] {
        let loaded = Loaded::open(&checkpoints.folder.join(folder_name(step))).unwrap();
        let mut expected = state(step);
        expected.config.train.steps = Some(99);
        assert_eq!((loaded.state.clone(), weight(&loaded)), (expected, step as f64));
    }
}

#[test]
fn the_latest_checkpoints_and_those_at_multiples_stay() {
    let run = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(run.path());
    fs::create_dir_all(checkpoints.folder.join(".partial-3")).unwrap();
    for step in [10, 20, 30, 40, 50] {
        save(&checkpoints, step, Retention { keep: 2, keep_every: 20 });
    }
    assert_eq!(checkpoints.steps().unwrap(), [20, 40, 50]);
    assert!(!checkpoints.folder.join(".partial-3").exists());
}

#[test]
fn a_checkpoint_of_another_version_is_told_from_a_damaged_one() {
    let run = tempfile::tempdir().unwrap();
    let path = save(&Checkpoints::of(run.path()), 1, KEEP);
    let old = "{\"checksum\": \"\", \"content\": {\"version\": 1, \"state\": {\"shuffle_window\": 9}}}";
    fs::write(path.join(STATE), old).unwrap();
    let error = Loaded::open(&path).unwrap_err();
    assert!(hint::causes(&error).contains("another version of amdim-stream wrote it"), "{error:#}");
    assert_eq!(
        hint::hints(&error),
        ["use the version of the program that wrote it, or name another folder with --out"]
    );
}

#[test]
fn a_checkpoint_without_a_setting_that_was_added_later_is_read_with_the_default() {
    let run = tempfile::tempdir().unwrap();
    let path = save(&Checkpoints::of(run.path()), 1, KEEP);
    let mut sealed: serde_json::Value = serde_json::from_slice(&fs::read(path.join(STATE)).unwrap()).unwrap();
    let optim = sealed["content"]["state"]["config"]["optim"].as_object_mut().unwrap();
    assert!(optim.remove("drop_factor").is_some());
    sealed["checksum"] = hash(sealed["content"].to_string().as_bytes()).into();
    fs::write(path.join(STATE), serde_json::to_string_pretty(&sealed).unwrap()).unwrap();
    let optim = Loaded::open(&path).unwrap().state.config.optim;
    assert_eq!(optim.drop_factor.to_bits(), crate::optim::Config::default().drop_factor.to_bits());
}

#[test]
fn a_damaged_byte_anywhere_makes_the_previous_checkpoint_the_latest() {
    let run = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(run.path());
    save(&checkpoints, 1, KEEP);
    let last = save(&checkpoints, 2, KEEP);
    for file in [MODEL, OPTIMIZER, STATE] {
        let path = last.join(file);
        let whole = fs::read(&path).unwrap();
        for position in (0..whole.len()).step_by(whole.len() / 40) {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x04;
            fs::write(&path, damaged).unwrap();
            let step = checkpoints.latest().unwrap().unwrap().state.step;
            // Only white space between JSON tokens may change unnoticed.
            assert!(step == 1 || whole[position].is_ascii_whitespace(), "{file} at byte {position}");
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(checkpoints.latest().unwrap().unwrap().state.step, 1);
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(checkpoints.latest().unwrap().unwrap().state.step, 2);
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_is_refused() {
    let run = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(run.path());
    let path = save(&checkpoints, 1, KEEP);
    fs::remove_file(path.join(MODEL)).unwrap();
    let error = checkpoints.latest().unwrap_err();
    assert!(hint::render(&error).contains("train a new run"), "{error}");
}

#[test]
fn tensors_of_other_names_shapes_or_kinds_are_refused() {
    let run = tempfile::tempdir().unwrap();
    let loaded = Loaded::open(&save(&Checkpoints::of(run.path()), 1, KEEP)).unwrap();
    let refused = |change: &dyn Fn(&mut Named)| {
        let mut model = tensors(0.0);
        change(&mut model);
        format!("{:#}", loaded.restore_model(&model).unwrap_err())
    };
    let other = |shape: &[i64], kind| Tensor::zeros(shape, (kind, tch::Device::Cpu));
    let missing = refused(&|model| drop(model.insert("bias".to_owned(), other(&[1], Kind::Float))));
    assert!(missing.contains("lacks 1 tensors") && missing.contains("`bias`"), "{missing}");
    let foreign = refused(&|model| drop(model.remove("weight")));
    assert!(foreign.contains("unknown") && foreign.contains("`weight`"), "{foreign}");
    // A tensor of one element would broadcast into anything.
    let shape = refused(&|model| drop(model.insert("weight".to_owned(), other(&[1], Kind::Float))));
    assert!(shape.contains("shape [2, 3] instead of [1]"), "{shape}");
    let kind = refused(&|model| drop(model.insert("weight".to_owned(), other(&[2, 3], Kind::Double))));
    assert!(kind.contains("F32 instead of Double"), "{kind}");
}

#[test]
fn damaged_checkpoints_do_not_count_towards_those_that_stay() {
    let run = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(run.path());
    let retention = Retention { keep: 3, keep_every: 0 };
    for step in [8, 12, 16] {
        save(&checkpoints, step, retention);
    }
    for step in [12, 16] {
        fs::write(checkpoints.folder.join(folder_name(step)).join(MODEL), "damaged").unwrap();
    }
    let good = checkpoints.latest().unwrap().unwrap().state.step;
    checkpoints.set_aside_after(good).unwrap();
    save(&checkpoints, 9, Retention { keep: 1, keep_every: 0 });
    assert_eq!((good, checkpoints.steps().unwrap()), (8, vec![9]));
    assert_eq!(checkpoints.latest().unwrap().unwrap().state.step, 9);
}

#[test]
fn a_folder_that_cannot_be_listed_is_not_taken_for_a_new_run() {
    let run = tempfile::tempdir().unwrap();
    fs::write(run.path().join("checkpoints"), "").unwrap();
    assert!(Checkpoints::of(run.path()).latest().is_err());
}
