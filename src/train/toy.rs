//! Training by a second method and a second encoder, which are each one file and a variant of an enum.

use anyhow::Result;
use clap::{Args as _, FromArgMatches as _};
use shards::Position;
use tch::{Device, Kind, Tensor};

use super::trainer::Trainer;
use crate::{
    checkpoint::{self, DataIdentity, Loaded, State},
    config::{Config, TrainArgs},
    exchange::{
        export::{self, Contents, Exported, Names},
        import,
    },
    optim::Schedule,
    views::Views,
};

/// Returns the configuration of the toy method on the encoder of one layer, as flags and a file make it.
fn config(parts: usize, by_block: bool) -> Config {
    let file = format!(
        "preset = 'c10'\nmethod.name = 'toy'\nencoder.name = 'linear'\noptim.lr = 1e-3\n\
         [train]\nprecision = 'f32'\naccumulate = {parts}\ncheckpoint_blocks = {by_block}"
    );
    Config::resolve(&file.parse().unwrap()).unwrap()
}

fn trainer(config: &Config) -> Trainer {
    Trainer::new(config, Some(3), Device::Cpu, Schedule::new(&config.optim, 100, 10.0)).unwrap()
}

fn step(trainer: &mut Trainer, number: i64) -> f64 {
    tch::manual_seed(100 + number);
    let images = Tensor::randn([2, 8, 3, 32, 32], (Kind::Float, Device::Cpu));
    let labels = Tensor::randint(3, [8], (Kind::Int64, Device::Cpu));
    let indices = Tensor::arange(8, (Kind::Int64, Device::Cpu));
    trainer.step(&Views { images, labels, indices, next: Position::default() }).unwrap().metrics.loss()
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
        let mut trainer = trainer(&config(parts, by_block));
        (0..6).map(|_| step(&mut trainer, 0)).collect::<Vec<_>>()
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
        step(&mut trainer, number);
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
        assert_eq!(step(&mut through, number).to_bits(), step(&mut resumed, number).to_bits());
    }
    assert!(tensors(&through).iter().zip(tensors(&resumed)).all(|(a, b)| a.equal(&b)));
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
    let flags = ["train", "--pull", "0.5", "--features", "16"];
    let args = TrainArgs::from_arg_matches(&command.get_matches_from(flags)).unwrap();
    let mut asked = args.asked().unwrap();
    for section in ["method", "encoder"] {
        let name = if section == "method" { "toy" } else { "linear" };
        asked[section].as_table_mut().unwrap().insert("name".to_owned(), name.into());
    }
    let config = Config::resolve(&asked).unwrap();
    let text = toml::to_string(&config).unwrap();
    assert!(
        text.contains("name = \"toy\"\npull = 0.5") && text.contains("name = \"linear\"\nfeatures = 16"),
        "{text}"
    );
    let refused = Config::resolve(&"method.name = 'toy'\nmethod.tclip = 3.0".parse().unwrap()).unwrap_err();
    assert!(refused.to_string().contains("unknown field `tclip`"), "{refused}");
    let unfit = Config::resolve(&"encoder.name = 'linear'".parse().unwrap()).unwrap_err();
    assert!(
        unfit.to_string().contains("the method amdim trains its own encoder only, not linear"),
        "{unfit}"
    );
}
