//! Training by every method: what must hold for each of them.

use anyhow::Result;
use shards::Position;
use tch::Tensor;

use super::{
    RunOutcome,
    displays::Displays,
    tiny::{self, step},
    trainer::Trainer,
};
use crate::{
    checkpoint::{self, DataIdentity, Loaded, Named, State},
    config::Config,
    method::MethodConfig,
    metrics::Histogram,
    run::stop::Stop,
    views::Views,
};

/// The number of samples of the set that steps are made on.
pub(crate) const SAMPLES: u64 = 24;

/// The settings of a small network for each method, as a file has them.
pub(crate) const SMALL: &[(&str, &str)] = &[
    ("amdim", "encoder = { ndf = 4, n_rkhs = 16, n_depth = 1 }"),
    ("simclr", "encoder.name = 'resnet18'\nencoder.width = 4\nmethod.dim = 8"),
    (
        "simclr",
        "side = 48\nencoder.name = 'resnet18'\nencoder.width = 4\nmethod.dim = 8\n\
         [[recipe.views]]\ncount = 2\noperations = [{ op = 'random_crop' }]\n\
         [[recipe.views]]\ncount = 3\nside = 32\noperations = [{ op = 'random_crop' }]",
    ),
    (
        "instdisc",
        "encoder.name = 'resnet18'\nencoder.width = 4\nmethod.dim = 8\n\
         method.loss = 'nce'\nmethod.negatives = 5\nmethod.redraw = true\nmethod.z_momentum = 0.9",
    ),
    ("instdisc", "encoder.name = 'resnet18'\nencoder.width = 4\nmethod.dim = 8"),
    // With more keys than a batch has, those of the same images would become negatives.
    (
        "moco",
        "encoder.name = 'resnet18'\nencoder.width = 4\nmethod.dim = 8\nmethod.queue = 4\nmethod.bn_groups = 2",
    ),
    ("cpc", "encoder.width = 4\nencoder.stages = [1, 1, 1]"),
    ("exemplar", "encoder.widths = [4, 6, 8]"),
    (
        "cmc",
        "encoder.name = 'resnet18'\nencoder.width = 4\nencoder.split = 'ycbcr'\nmethod.dim = 8\n\
         method.loss = 'nce'\nmethod.negatives = 5",
    ),
];

/// Returns the configuration of a method with a small network. `train` has more settings of that section.
fn config((name, small): (&str, &str), train: &str) -> Config {
    let file =
        format!("preset = 'c10'\nmethod.name = '{name}'\n{small}\n[train]\nprecision = 'f32'\n{train}");
    Config::resolve(&file.parse().unwrap()).unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// Returns a trainer for the set.
fn trainer(config: &Config) -> Trainer {
    tiny::trainer(config, SAMPLES)
}

/// Returns batch `number` of eight noise images.
fn batch(config: &Config, number: i64) -> Views {
    let batch = tiny::noise(config, 8, number);
    Views { indices: (batch.indices + 8 * number).remainder(SAMPLES as i64), ..batch }
}

/// Returns copies of all tensors, the optimizer's included, that batch norms do not change by themselves.
fn tensors(trainer: &Trainer) -> Named {
    let all = trainer.network().tensors().into_iter().chain(trainer.moments());
    let is_of_norm = |name: &str| name.contains("running_") || name.ends_with("num_batches_tracked");
    all.filter(|(name, _)| !is_of_norm(name)).map(|(name, tensor)| (name, tensor.copy())).collect()
}

/// Returns copies of the gradients of the last step.
fn gradients_of(trainer: &Trainer) -> Named {
    let tensors = trainer.network().tensors().into_iter();
    let trained = tensors.filter(|(_, tensor)| tensor.requires_grad() && tensor.grad().defined());
    trained.map(|(name, tensor)| (name, tensor.grad().copy())).collect()
}

/// Panics unless gradients are equal up to the rounding of sums.
fn assert_near(what: &str, whole: &Named, other: &Named, is_compared: impl Fn(&str) -> bool) {
    for (name, gradient) in whole.iter().filter(|(name, _)| is_compared(name)) {
        let off = (gradient - &other[name]).norm().double_value(&[]);
        let size = gradient.norm().double_value(&[]);
        assert!(off <= 1e-3 * size + 1e-6, "{what}: {name} is off by {off:e} of {size:e}");
    }
}

/// Returns the names of tensors that are not equal to the bit.
fn different(one: &Named, other: &Named) -> Vec<String> {
    assert!(one.keys().eq(other.keys()));
    one.iter().filter(|(name, tensor)| !tensor.equal(&other[*name])).map(|(name, _)| name.clone()).collect()
}

/// Methods on the encoder of AMDIM: with norms, and with heads that other methods do not use.
const ON_AMDIM: &[(&str, &str)] = &[
    ("amdim", "encoder = { ndf = 4, n_rkhs = 16, n_depth = 1, use_bn = true }"),
    ("simclr", "encoder = { name = 'amdim', ndf = 4, n_rkhs = 16, n_depth = 1 }\nmethod.dim = 8"),
    (
        "instdisc",
        "encoder = { name = 'amdim', ndf = 4, n_rkhs = 16, n_depth = 1, use_bn = true }\nmethod.dim = 8",
    ),
];

#[test]
fn the_parameters_that_a_step_leaves_without_a_gradient_are_those_that_a_method_calls_idle() {
    let _alone = crate::testing::lock_generator();
    let mut idle_ones = 0;
    for model in SMALL.iter().chain(ON_AMDIM) {
        let config = config(*model, "");
        let mut trainer = trainer(&config);
        step(&mut trainer, &batch(&config, 0));
        let network = trainer.network();
        let idle: Vec<_> = network.method().idle().into_iter().map(Tensor::data_ptr).collect();
        for (name, tensor) in network.tensors().into_iter().filter(|(_, tensor)| tensor.requires_grad()) {
            let is_idle = !tensor.grad().defined();
            assert_eq!(is_idle, idle.contains(&tensor.data_ptr()), "{model:?}: {name}");
            idle_ones += usize::from(is_idle);
        }
    }
    assert!(idle_ones > 30, "{idle_ones}");
}

#[test]
fn every_method_is_tested_here() {
    let all: Vec<_> =
        MethodConfig::all(pipeline::Preset::C10).iter().map(|method| method.chosen().name()).collect();
    let mut tested: Vec<_> = SMALL.iter().map(|(name, _)| *name).chain(["toy"]).collect();
    tested.dedup();
    assert_eq!(tested, all);
}

#[test]
fn every_method_resumes_to_the_bit() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    for method in SMALL {
        for train in ["", "accumulate = 2"] {
            let place = tempfile::tempdir()?;
            // A queue that batches do not divide wraps around within a batch.
            let small = method.1.replace("method.queue = 4", "method.queue = 20");
            let config = config((method.0, &small), train);
            let mut through = trainer(&config);
            for number in 0..3 {
                step(&mut through, &batch(&config, number));
            }
            let state = State {
                step: 3,
                position: Position::default(),
                data: DataIdentity { digest: 1, samples: SAMPLES },
                classes: Some(3),
                class_names: Vec::new(),
                config: config.clone(),
            };
            let path = place.path().join("step-00000003");
            checkpoint::write(&path, &state, &through.network().tensors(), &through.moments())?;
            let loaded = Loaded::open(&path)?;
            assert_eq!(loaded.state.config, config);
            let mut resumed = trainer(&loaded.state.config);
            resumed.restore(&loaded)?;
            for number in 3..6 {
                let batch = batch(&config, number);
                let [one, two] = [&mut through, &mut resumed].map(|trainer| step(trainer, &batch));
                assert_eq!(one.to_bits(), two.to_bits(), "{method:?} {train}: {one} {two}");
            }
            let off = different(&through.network().tensors(), &resumed.network().tensors());
            assert!(off.is_empty(), "{method:?} {train}: {off:?}");
            assert!(different(&through.moments(), &resumed.moments()).is_empty(), "{method:?} {train}");
        }
    }
    Ok(())
}

#[test]
fn every_method_computes_the_same_block_by_block() {
    let _alone = crate::testing::lock_generator();
    for method in SMALL {
        let gradients = |train: &str| {
            let config = config(*method, train);
            let mut trainer = trainer(&config);
            let loss = step(&mut trainer, &batch(&config, 0));
            (loss, gradients_of(&trainer))
        };
        let (loss, plain) = gradients("");
        let (again, by_block) = gradients("checkpoint_blocks = true");
        assert!((loss - again).abs() < 1e-5 * loss.abs(), "{method:?}: {loss} {again}");
        assert!(plain.keys().eq(by_block.keys()), "{method:?}: {:?} {:?}", plain.keys(), by_block.keys());
        assert_near(&format!("{method:?}"), &plain, &by_block, |_| true);
    }
}

/// Both halves of the batch are the same images, so the statistics of batch norms are those of each half.
#[test]
fn parts_of_a_batch_with_views_of_two_sides_have_the_gradients_of_the_whole() {
    let _alone = crate::testing::lock_generator();
    let (name, small) = SMALL[2];
    assert!(name == "simclr" && small.contains("side = 32"));
    let gradients = |train: &str| {
        let config = config((name, small), train);
        let mut trainer = trainer(&config);
        let mut twice = batch(&config, 0);
        let half = |images: &Tensor| images.narrow(1, 0, 4).repeat([1, 2, 1, 1, 1]);
        twice.groups = twice.groups.iter().map(half).collect();
        let loss = step(&mut trainer, &twice);
        (loss, gradients_of(&trainer))
    };
    let (loss, whole) = gradients("");
    for train in ["accumulate = 2", "accumulate = 2\ncheckpoint_blocks = true"] {
        let (again, parts) = gradients(train);
        assert!((loss - again).abs() < 1e-5 * loss.abs(), "{train}: {loss} {again}");
        assert_near(train, &whole, &parts, |name| name.starts_with("encoder.") && name.ends_with("weight"));
    }
}

#[test]
fn every_method_lowers_its_loss_on_one_batch() {
    let _alone = crate::testing::lock_generator();
    for method in SMALL {
        for train in ["", "accumulate = 2\ncheckpoint_blocks = true"] {
            let config = config(*method, train);
            let (mut trainer, batch) = (trainer(&config), batch(&config, 0));
            let losses: Vec<_> = (0..12).map(|_| step(&mut trainer, &batch)).collect();
            assert!(losses[11] < losses[0].max(losses[1]), "{method:?} {train}: {losses:?}");
        }
    }
}

#[test]
fn a_broken_step_changes_nothing_of_any_method() {
    let _alone = crate::testing::lock_generator();
    for method in SMALL {
        let config = config(*method, "");
        let mut trainer = trainer(&config);
        step(&mut trainer, &batch(&config, 0));
        let before = tensors(&trainer);
        let mut broken = batch(&config, 1);
        broken.groups = broken.groups.iter().map(|images| images.full_like(f64::NAN)).collect();
        trainer.step(&broken).unwrap();
        trainer.step(&batch(&config, 2)).unwrap(); // the host does not know yet that the last step is broken
        let off = different(&before, &tensors(&trainer));
        assert!(off.is_empty(), "{method:?}: {off:?}");
        assert_eq!(trainer.check().unwrap_err().step, 2);
    }
}

#[test]
fn every_method_trains_on_batches_of_the_loader() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    for (name, small) in SMALL {
        let place = tempfile::tempdir()?;
        let (mut run, folder) = tiny::run_of(&format!("method.name = '{name}'\n{small}"), place.path());
        run.steps = 3;
        assert_eq!(run.train(&folder, &Stop::at(None), Displays::default())?, RunOutcome::Finished, "{name}");
    }
    Ok(())
}

/// Returns the numbers of scores that eight images have, by part.
fn scores_of(name: &str) -> Vec<(&'static str, f64)> {
    match name {
        "amdim" => vec![("1t5", 8.0 * 8.0 * 25.0), ("1t7", 8.0 * 8.0 * 49.0), ("5t5", 8.0 * 8.0 * 25.0)],
        "simclr" => vec![("view1", 8.0 * 8.0)],
        "moco" => vec![("queue", 8.0 * 4.0)],
        "instdisc" => vec![("bank", 8.0 * 8.0)],
        "cmc" => vec![("l", 8.0 * 8.0), ("ab", 8.0 * 8.0)],
        _ => vec![],
    }
}

#[test]
fn all_scores_are_counted_and_counting_them_changes_nothing() -> Result<()> {
    let _alone = crate::testing::lock_generator();
    let in_parts = ["accumulate = 2", "checkpoint_blocks = true"].map(|train| (&SMALL[0], train));
    for (method, train) in SMALL.iter().map(|method| (method, "")).chain(in_parts) {
        let config = config(*method, train);
        let (mut plain, mut counting) = (trainer(&config), trainer(&config));
        counting.with_scores(true);
        assert!(plain.step(&batch(&config, 0))?.scores.is_none());
        let scores = counting.step(&batch(&config, 0))?.scores;
        let found = scores.map(|scores| scores.queue_read(None)?.read()).transpose()?.unwrap_or_default();
        let counts = found.iter().map(|(name, scores)| (*name, scores.counts.iter().sum()));
        assert_eq!(counts.collect::<Vec<_>>(), scores_of(method.0), "{method:?} {train}");
        let is_within = |scores: &Histogram| scores.ends[0] - 1.0 <= scores.min && scores.min < scores.max;
        assert!(found.iter().all(|(_, scores)| is_within(scores)), "{found:?}");
        assert_eq!(different(&tensors(&plain), &tensors(&counting)), [""; 0], "{method:?} {train}");
    }
    Ok(())
}
