//! What holds for single methods in training: the state of MoCo, the networks without norms of CPC and
//! Exemplar-CNN, and the samples of the latter.

use anyhow::Result;
use tch::Device;

use super::{
    tiny::{self, step},
    trainer::Trainer,
};
use crate::{checkpoint::Named, config::Config, optim::Schedule, views::Views, world::World};

const RESNET: &str = "encoder = { name = 'resnet18', width = 2 }";
const MOCO: &str = "method = { name = 'moco', queue = 20, dim = 8 }";
const CPC: &str = "method.name = 'cpc'\nencoder = { name = 'cpc', width = 2, stages = [1, 1, 1] }";
const EXEMPLAR: &str = "method = { name = 'exemplar', surrogate_classes = 7 }\n\
                        encoder = { name = 'exemplar', widths = [2, 3, 4] }";

fn config(model: &str, train: &str) -> Config {
    let file = format!("preset = 'c10'\n{model}\n[train]\nprecision = 'f32'\n{train}");
    Config::resolve(&file.parse().unwrap()).unwrap()
}

/// Returns a trainer for a set of eight samples.
fn trainer(config: &Config) -> Trainer {
    tiny::trainer(config, 8)
}

/// Returns a batch of six noise images.
fn batch(config: &Config, number: i64) -> Views {
    tiny::noise(config, 6, number)
}

/// Returns copies of the parameters, of the state of the method, and of the optimizer's moments.
fn state(trainer: &Trainer) -> Named {
    let all = trainer.network().tensors().into_iter().chain(trainer.moments());
    all.map(|(name, tensor)| (name, tensor.copy())).collect()
}

/// Neither network has batch norms.
#[test]
fn cpc_and_exemplar_train_alike_in_parts_and_block_by_block() {
    let _alone = crate::testing::lock_generator();
    for model in [CPC, EXEMPLAR] {
        let losses = |train: &str| {
            let config = config(model, train);
            let (mut trainer, batch) = (trainer(&config), batch(&config, 0));
            (0..4).map(|_| step(&mut trainer, &batch)).collect::<Vec<_>>()
        };
        let whole = losses("");
        for train in
            ["accumulate = 3", "checkpoint_blocks = true", "accumulate = 2\ncheckpoint_blocks = true"]
        {
            let others = losses(train);
            let off = whole.iter().zip(&others).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-5, "{model} {train}: {whole:?} {others:?}");
        }
    }
}

#[test]
fn moco_is_the_same_block_by_block_and_another_with_groups_or_parts_of_a_batch_norm() {
    let _alone = crate::testing::lock_generator();
    let first = |model: &str, train: &str| {
        let config = config(&format!("{model}\n{RESNET}"), train);
        step(&mut trainer(&config), &batch(&config, 0))
    };
    let whole = first(&MOCO.replace(" }", ", bn_groups = 1 }"), "");
    let by_block = first(&MOCO.replace(" }", ", bn_groups = 1 }"), "checkpoint_blocks = true");
    assert!((whole - by_block).abs() < 1e-5, "{whole} {by_block}");
    let groups = first(&MOCO.replace(" }", ", bn_groups = 3 }"), "");
    let in_parts = first(&MOCO.replace(" }", ", bn_groups = 1 }"), "accumulate = 3");
    assert!((whole - groups).abs() > 1e-3 && (whole - in_parts).abs() > 1e-3, "{whole} {groups} {in_parts}");
}

#[test]
fn the_key_encoder_of_moco_follows_one_step_behind() {
    let _alone = crate::testing::lock_generator();
    let config = config(&format!("{MOCO}\n{RESNET}"), "");
    let mut trainer = trainer(&config);
    let begun = state(&trainer);
    let of = |state: &Named, name: &str| state[name].copy();
    let (query, key) = ("encoder.conv1.weight", "key.encoder.conv1.weight");
    assert!(of(&begun, query).equal(&of(&begun, key)), "it begins as a copy");
    step(&mut trainer, &batch(&config, 0));
    let first = state(&trainer);
    assert!(of(&first, key).equal(&of(&begun, key)) && !of(&first, query).equal(&of(&begun, query)));
    assert_eq!(first["queue_ptr"].int64_value(&[0]), 6);
    step(&mut trainer, &batch(&config, 1));
    let second = state(&trainer);
    let expected = of(&first, key).lerp(&of(&first, query), 1.0 - 0.99);
    assert!(of(&second, key).allclose(&expected, 1e-6, 1e-9, false));
    let keys = |state: &Named| state["queue"].norm_scalaropt_dim(2.0, [0i64], false);
    assert!((keys(&second) - 1.0).abs().max().double_value(&[]) < 1e-5, "keys have unit length");
}

#[test]
fn exemplar_trains_on_the_samples_of_its_classes_only() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let place = tempfile::tempdir()?;
    let (run, _) = tiny::run_of(&EXEMPLAR.replace("= 7", "= 5"), place.path());
    let classes = run.trainer.network().tensors()["surrogate_classes"].copy();
    let classes = Vec::<i64>::try_from(classes)?;
    assert!(classes.len() == 5 && classes.is_sorted() && (0..8).contains(&classes[4]), "{classes:?}");
    assert_eq!((run.data.train.len(), run.data.trained.len()), (8, 5));
    let keys = |set: &shards::ShardSet| set.keys(0).unwrap().into_iter().map(|(_, key)| key);
    let expected = classes.iter().map(|sample| format!("k{sample}"));
    assert!(keys(&run.data.trained).eq(expected), "class i is the i-th of them");
    let mut feed = run.feed()?;
    for _ in 0..5 {
        let indices = Vec::<i64>::try_from(&feed.next().expect("endless batches")?.views.indices)?;
        assert!(indices.iter().all(|index| (0..5).contains(index)), "{indices:?}");
    }
    Ok(())
}

#[test]
fn more_surrogate_classes_than_a_classifier_can_have_are_refused_with_the_reason() {
    let file = "preset = 'c10'\nmethod = { name = 'exemplar', surrogate_classes = 40000 }";
    let refused = crate::hint::render(&Config::resolve(&file.parse().unwrap()).unwrap_err());
    assert!(refused.contains("is 40000, but the classifier") && refused.contains("32000"), "{refused}");
}

#[test]
fn cpc_refuses_other_encoders_and_grids_with_too_few_rows() {
    let _alone = crate::testing::lock_generator();
    let file = format!("preset = 'c10'\nmethod.name = 'cpc'\n{RESNET}");
    let refused = Config::resolve(&file.parse().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("can only train its own encoder, not resnet18"), "{refused}");
    let config = config("method = { name = 'cpc', prediction_steps = 6 }", "");
    let schedule = Schedule::new(&config.optim, 100, 10.0);
    let refused = Trainer::new(&config, (8, None), Device::Cpu, schedule, World::ALONE).unwrap_err();
    assert!(
        refused.to_string().contains("have 7 rows of patches, but 6 prediction steps need 8"),
        "{refused}"
    );
}
