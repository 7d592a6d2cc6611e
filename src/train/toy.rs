//! Training by a second method and a second encoder, which are each one file and a variant of an enum.

use anyhow::Result;
use clap::{Args as _, FromArgMatches as _};
use shards::Position;
use tch::{Device, Kind, Tensor};

use super::{
    RunOutcome,
    displays::Displays,
    tiny::{self, step},
    trainer::Trainer,
};
use crate::{
    checkpoint::{self, DataIdentity, Loaded, State},
    config::{Config, TrainArgs},
    exchange::{
        export::{self, Contents, Exported, Names},
        import,
    },
    hint,
    network::Network,
    optim::{self, Exclude, OptimizerName},
    run::{crash::CrashReport, stop::Stop},
    views::Views,
};

/// The toy method on the encoder of one layer, as a file chooses them.
const TOY: &str = "method.name = 'toy'\nencoder.name = 'linear'";

/// Returns the configuration of the toy method on the encoder of one layer, as flags and a file make it.
fn config(parts: usize, by_block: bool) -> Config {
    let file = format!(
        "preset = 'c10'\n{TOY}\noptim.lr = 1e-3\n\
         [train]\nprecision = 'f32'\naccumulate = {parts}\ncheckpoint_blocks = {by_block}"
    );
    Config::resolve(&file.parse().unwrap()).unwrap()
}

/// Returns a trainer for a set of eight samples.
fn trainer(config: &Config) -> Trainer {
    tiny::trainer(config, 8)
}

/// Returns a batch of eight noise images.
fn batch(config: &Config, number: i64) -> Views {
    tiny::noise(config, 8, number)
}

/// Returns a copy of the running mean of the toy's features.
fn mean(trainer: &Trainer) -> Tensor {
    trainer.network().tensors()["mean"].copy()
}

fn tensors(trainer: &Trainer) -> Vec<Tensor> {
    trainer
        .network()
        .tensors()
        .into_values()
        .chain(trainer.moments().into_values())
        .map(|tensor| tensor.copy())
        .collect()
}

#[test]
fn a_second_method_trains_in_parts_and_block_by_block() {
    let _alone = crate::testing::lock_generator();
    let losses = |parts, by_block| {
        let config = config(parts, by_block);
        let (mut trainer, batch) = (trainer(&config), batch(&config, 0));
        (0..6).map(|_| step(&mut trainer, &batch)).collect::<Vec<_>>()
    };
    let whole = losses(1, false);
    assert!(whole[5] < whole[0], "{whole:?}");
    for (parts, by_block) in [(2, false), (1, true), (4, true)] {
        let others = losses(parts, by_block);
        assert!(
            whole.iter().zip(&others).all(|(a, b)| (a - b).abs() < 1e-5),
            "{parts} {by_block}: {whole:?} {others:?}"
        );
    }
}

/// Returns a checkpoint of three steps, and the trainer that made it.
fn checkpoint_of(config: &Config, place: &std::path::Path) -> Result<(Trainer, Loaded)> {
    let mut trainer = trainer(config);
    for number in 0..3 {
        step(&mut trainer, &batch(config, number));
    }
    let state = State {
        step: 3,
        position: Position::default(),
        data: DataIdentity { digest: 1, samples: 8 },
        classes: Some(3),
        class_names: Vec::new(),
        config: config.clone(),
    };
    let path = place.join("step-00000003");
    checkpoint::write(&path, &state, &trainer.network().tensors(), &trainer.moments())?;
    Ok((trainer, Loaded::open(&path)?))
}

#[test]
fn a_second_method_resumes_to_the_bit() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir()?;
    let config = config(2, false);
    let (mut through, loaded) = checkpoint_of(&config, place.path())?;
    assert_eq!(loaded.state.config, config);
    let mut resumed = trainer(&loaded.state.config);
    resumed.restore(&loaded)?;
    for number in 3..6 {
        let batch = batch(&config, number);
        assert_eq!(step(&mut through, &batch).to_bits(), step(&mut resumed, &batch).to_bits());
    }
    assert!(tensors(&through).iter().zip(tensors(&resumed)).all(|(a, b)| a.equal(&b)));
    Ok(())
}

#[test]
fn every_optimizer_resumes_to_the_bit_and_refuses_the_state_of_another() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    for name in [OptimizerName::Adam, OptimizerName::AdamW, OptimizerName::Sgd, OptimizerName::Lars] {
        let place = tempfile::tempdir()?;
        let optim = optim::Config {
            name,
            clip_norm: Some(0.5),
            exclude: Some(Exclude::NormsAndBiases),
            ..optim::Config::default()
        };
        let config = Config { optim, ..config(1, false) };
        let (mut through, loaded) = checkpoint_of(&config, place.path())?;
        let mut resumed = trainer(&loaded.state.config);
        resumed.restore(&loaded)?;
        for number in 3..6 {
            let batch = batch(&config, number);
            assert_eq!(
                step(&mut through, &batch).to_bits(),
                step(&mut resumed, &batch).to_bits(),
                "{name:?}"
            );
        }
        assert!(tensors(&through).iter().zip(tensors(&resumed)).all(|(a, b)| a.equal(&b)), "{name:?}");
        let another = if name == OptimizerName::Sgd { OptimizerName::Lars } else { OptimizerName::Sgd };
        let optim = optim::Config { name: another, ..config.optim.clone() };
        let refused = hint::render(&trainer(&Config { optim, ..config }).restore(&loaded).unwrap_err());
        let words =
            [format!("state of the optimizer {}", name.name()), format!("--optimizer {}", name.name())];
        assert!(words.iter().all(|words| refused.contains(words)), "{refused}");
    }
    Ok(())
}

#[test]
fn a_method_with_three_views_trains_on_batches_of_the_loader() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir()?;
    let (mut run, folder) = tiny::run_of(TOY, place.path());
    let batch = run.feed()?.next().expect("a first batch")?;
    assert_eq!(batch.views.images().size(), [3, 4, 3, 32, 32]);
    run.steps = 3;
    assert_eq!(run.train(&folder, &Stop::at(None), Displays::default())?, RunOutcome::Finished);
    Ok(())
}

#[test]
fn a_broken_step_changes_no_state_of_a_method() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir()?;
    let (mut run, folder) = tiny::run_of(TOY, place.path());
    let batch = run.feed()?.next().expect("a first batch")?;
    let begun = mean(&run.trainer);
    run.trainer.step(&batch.views)?;
    let before = mean(&run.trainer);
    assert!(!before.equal(&begun));
    let Views { groups, labels, indices, next } = &batch.views;
    let [labels, indices] = [labels, indices].map(Tensor::shallow_clone);
    run.trainer.step(&Views { groups: vec![groups[0].full_like(f64::NAN)], labels, indices, next: *next })?;
    run.trainer.step(&batch.views)?; // the host does not know yet that the last step is broken
    assert!(mean(&run.trainer).equal(&before));
    let broken = run.trainer.check().unwrap_err();
    let error = run.report_broken_step(&folder, &broken);
    assert!(error.to_string().contains("the loss of step 2 is not finite"), "{error}");
    let state = Loaded::open(&folder.crash.join(CrashReport::STATE))?;
    let again = Network::load(&state, Device::Cpu)?;
    assert!(again.tensors()["mean"].equal(&before));
    Ok(())
}

#[test]
fn a_warm_start_tells_the_method_that_its_encoder_is_another() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir()?;
    let (_, loaded) = checkpoint_of(&config(1, false), place.path())?;
    let mut begun = trainer(&Config { seed: 1, ..config(1, false) });
    let before = mean(&begun);
    begun.warm_start(&loaded)?;
    let weight = &begun.network().tensors()["encoder.weight"];
    let white = weight.sum_dim_intlist([0_i64].as_slice(), false, Kind::Float);
    let is_white = |mean: &Tensor| mean.allclose(&white, 1e-4, 1e-4, false);
    assert!(is_white(&mean(&begun)) && !is_white(&before));
    Ok(())
}

#[test]
fn a_second_encoder_is_exported_but_not_under_the_names_of_the_reference() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir()?;
    let (_, loaded) = checkpoint_of(&config(1, false), place.path())?;
    let file = place.path().join("encoder.safetensors");
    let Exported { tensors, description } = export::write(&loaded, &file, &Contents::default())?;
    assert_eq!((tensors, description.method.as_str()), (1, "toy"));
    let foreign = import::read(&std::fs::read(&file)?)?;
    import::check_sizes(&foreign)?;
    let reference = Contents { names: Names::Reference, ..Contents::default() };
    let refused = export::write(&loaded, &file, &reference).unwrap_err();
    assert!(refused.to_string().contains("knows AMDIM only, not the method toy"), "{refused}");
    Ok(())
}

#[test]
fn the_flags_of_a_second_method_and_encoder_are_theirs() {
    let command = TrainArgs::augment_args(clap::Command::new("train"));
    command.clone().debug_assert();
    let flags = ["train", "--pull", "0.5", "--tclip", "0.25", "--features", "16"];
    let args = TrainArgs::from_arg_matches(&command.get_matches_from(flags)).unwrap();
    let mut asked = args.asked().unwrap();
    for section in ["method", "encoder"] {
        let name = if section == "method" { "toy" } else { "linear" };
        asked[section].as_table_mut().unwrap().insert("name".to_owned(), name.into());
    }
    let config = Config::resolve(&asked).unwrap();
    assert_eq!((config.out.to_str(), &Config::out(&asked).unwrap()), (Some("runs/toy-in224"), &config.out));
    let text = toml::to_string(&config).unwrap();
    assert!(
        text.contains("name = \"toy\"\npull = 0.5\ntclip = 0.25")
            && text.contains("name = \"linear\"\nfeatures = 16"),
        "{text}"
    );
    let refused =
        Config::resolve(&"method.name = 'toy'\nmethod.score_penalty = 3.0".parse().unwrap()).unwrap_err();
    assert!(
        refused.to_string().contains("`method.score_penalty` is not a setting of the method toy"),
        "{refused}"
    );
    let unfit = Config::resolve(&"encoder.name = 'linear'".parse().unwrap()).unwrap_err();
    assert!(
        unfit.to_string().contains("the method amdim can only train its own encoder, not linear"),
        "{unfit}"
    );
}

#[test]
fn two_methods_have_a_setting_of_one_name_each_with_its_bounds() {
    let asked = |method: &str, tclip: f64| {
        let text = format!("preset = 'c10'\nmethod = {{ {method}tclip = {tclip:?} }}\n");
        Config::resolve(&text.parse().unwrap())
    };
    asked("", 3.0).unwrap();
    let error = asked("name = 'toy', ", 3.0).unwrap_err();
    assert_eq!(hint::render(&error), "`method.tclip` is 3\n  hint: write a number from 0.000001 to 1");
    let names: Vec<_> = Config::settings().into_iter().map(|setting| setting.key).collect();
    assert_eq!(names.iter().filter(|name| *name == "method.tclip").count(), 1);
}
