//! Training in several processes: the same updates as in one.

use shards::Position;
use tch::{Device, Kind, Tensor};

use super::{
    methods::{SAMPLES, SMALL},
    ranks, tiny,
    trainer::{StepOutcome, Trainer},
};
use crate::{
    checkpoint::Named,
    config::Config,
    optim::Schedule,
    views::Views,
    world::{World, faults::Fault},
};

/// The number of samples of a batch of all processes.
pub(crate) const BATCH: i64 = 16;
/// The number of updates.
const UPDATES: i64 = 3;

/// The settings of a run: a model, and more settings of the section `train`.
pub(crate) type Case = ((&'static str, &'static str), &'static str);

pub(crate) fn config(((name, small), train): Case) -> Config {
    // Rows of the memory banks are drawn for the whole batch.
    let small = small.replace("method.bn_groups = 2", "").replace("method.queue = 4", "method.queue = 64");
    let file =
        format!("preset = 'c10'\nmethod.name = '{name}'\n{small}\n[train]\nprecision = 'f32'\n{train}");
    Config::resolve(&file.parse().unwrap()).unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// Returns a trainer whose numbers are all f64.
fn trainer(config: &Config, world: World) -> Trainer {
    let schedule = Schedule::new(&config.optim, 100, 10.0);
    let trainer = Trainer::new(config, (SAMPLES, Some(3)), Device::Cpu, schedule, world).unwrap();
    for (_, mut tensor) in trainer.network().tensors().into_iter().chain(trainer.moments()) {
        if tensor.is_floating_point() {
            tensor.set_data(&tensor.to_kind(Kind::Double));
        }
    }
    trainer
}

/// Returns this process's samples of batch `number` of all processes. Images are of `kind`.
pub(crate) fn own_of(kind: Kind, config: &Config, number: i64, world: World) -> Views {
    let Views { groups, labels, .. } = tiny::noise(config, BATCH, number);
    let indices =
        (Tensor::arange(BATCH, (Kind::Int64, Device::Cpu)) + BATCH * number).remainder(SAMPLES as i64);
    Views {
        groups: groups.iter().map(|images| world.own(&images.to_kind(kind), 1)).collect(),
        labels: world.own(&labels, 0),
        indices: world.own(&indices, 0),
        next: Position::default(),
    }
}

fn own(config: &Config, number: i64, world: World) -> Views {
    own_of(Kind::Double, config, number, world)
}

/// Makes updates, and returns all tensors, gradients and losses after them.
fn updates(case: Case, world: World) -> Named {
    let config = config(case);
    let world = world.in_parts(config.train.accumulate);
    let mut trainer = trainer(&config, world);
    let mut results = Named::new();
    for number in 0..UPDATES {
        trainer.with_scores(true);
        let StepOutcome { metrics, scores, .. } = trainer.step(&own(&config, number, world)).unwrap();
        if let Some(scores) = scores {
            results.insert(format!("scores of step {number}"), scores.joined(world).unwrap().values);
        }
        world.average(|| vec![metrics.values.shallow_clone()]).unwrap();
        results.insert(format!("numbers of step {number}"), metrics.values.copy());
    }
    for (name, tensor) in trainer.network().tensors() {
        if tensor.requires_grad() && tensor.grad().defined() {
            results.insert(format!("gradient of {name}"), tensor.grad().copy());
        }
        results.insert(name, tensor.copy());
    }
    results.extend(trainer.moments().into_iter().map(|(name, moment)| (name, moment.copy())));
    results
}

/// Returns the results of all cases, each name with that of its case in front.
fn all(cases: &[Case], world: World) -> Named {
    let of_case = |(number, case): (usize, &Case)| {
        let results = updates(*case, world).into_iter();
        results.map(move |(tensor, value)| (format!("case {number}: {tensor}"), value)).collect::<Vec<_>>()
    };
    cases.iter().enumerate().flat_map(of_case).collect()
}

/// Panics unless all tensors agree up to the rounding of sums in f64, or that of f32 where they are of it.
fn assert_equal(what: &str, found: &Named, expected: &Named) {
    assert!(found.keys().eq(expected.keys()), "{what}: {:?}", found.keys());
    for (name, expected) in expected {
        let size = expected.to_kind(Kind::Double).norm().double_value(&[]);
        let off = (&found[name] - expected).to_kind(Kind::Double).norm().double_value(&[]);
        let bound = if expected.kind() == Kind::Float { 1e-6 } else { 1e-9 };
        assert!(off <= bound * size.max(1e-3), "{what}: {name} is off by {off:.1e} of {size:.1e}");
    }
}

/// The first models of AMDIM and SimCLR, and that of MoCo with queries from both views.
pub(crate) fn some() -> Vec<(&'static str, &'static str)> {
    let first = ["amdim", "simclr"].map(|name| *SMALL.iter().find(|(other, _)| *other == name).unwrap());
    let symmetric = "encoder.name = 'resnet18'\nencoder.width = 4\nmethod.dim = 8\nmethod.queue = 64\nmethod.symmetric = true";
    first.into_iter().chain([("moco", symmetric)]).collect()
}

/// The cases in which batch norms normalize the batch of all processes together, for `size` processes.
fn together(size: usize) -> Vec<Case> {
    let some = some();
    let models = if size == 2 { SMALL } else { &some[..] };
    let in_parts = some.iter().map(|model| (*model, "accumulate = 2"));
    let whole = models.iter().map(|model| (*model, ""));
    let by_block = some[..2].iter().map(|model| (*model, "checkpoint_blocks = true"));
    whole.chain(in_parts).chain(by_block).collect()
}

/// The cases in which batch norms normalize four groups of a batch, in `parts` parts.
fn grouped(parts: usize) -> Vec<Case> {
    let train = ["bn_groups = 4", "bn_groups = 4\naccumulate = 2", "bn_groups = 4\naccumulate = 4"];
    some().into_iter().map(|model| (model, train[parts.ilog2() as usize])).collect()
}

/// Returns the name of a test here, for the processes that run it again.
macro_rules! test_name {
    ($test:ident) => {
        concat!("train::several::", stringify!($test))
    };
}

#[test]
fn several_processes_make_the_updates_of_one() {
    for size in [2, 4] {
        let name = test_name!(several_processes_make_the_updates_of_one);
        let Some(ranks) = ranks::run(name, size, |world| all(&together(size), world)) else { continue };
        let _alone = crate::testing::lock_generator();
        let expected = all(&together(size), World::ALONE);
        for (rank, found) in ranks.iter().enumerate() {
            assert_equal(&format!("rank {rank} of {size}"), found, &expected);
        }
    }
}

#[test]
fn groups_of_batch_norms_are_the_same_in_parts_and_on_several_processes() {
    let name = test_name!(groups_of_batch_norms_are_the_same_in_parts_and_on_several_processes);
    let of = |world, parts: &[usize]| {
        let results = parts.iter().flat_map(|&parts| {
            let results = all(&grouped(parts), world).into_iter();
            results.map(move |(name, value)| (format!("{parts} {name}"), value)).collect::<Vec<_>>()
        });
        results.collect::<Named>()
    };
    let mut ranks = Vec::new();
    for (size, parts) in [(2, &[1, 2][..]), (4, &[1][..])] {
        let Some(found) = ranks::run(name, size, |world| of(world, parts)) else { continue };
        ranks.extend(found);
    }
    let _alone = crate::testing::lock_generator();
    let whole = all(&grouped(1), World::ALONE);
    ranks.push(of(World::ALONE, &[2, 4]));
    for found in ranks {
        for parts in [1, 2, 4] {
            let prefix = format!("{parts} ");
            let of_parts =
                found.iter().filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, value)));
            let of_parts: Named =
                of_parts.map(|(name, value)| (name.to_owned(), value.shallow_clone())).collect();
            if !of_parts.is_empty() {
                assert_equal(&format!("in {parts} parts"), &of_parts, &whole);
            }
        }
    }
}

/// Returns the gradients of all parameters after one step, as one tensor, where the processes have a fault.
fn gradients(case: Case, world: World, fault: Option<Fault>) -> Tensor {
    let config = config(case);
    let faulty = fault.map_or(world, |fault| world.with_fault(fault));
    let mut trainer = trainer(&config, faulty);
    trainer.step(&own(&config, 0, world)).unwrap();
    let parameters = trainer.network().tensors().into_values().filter(Tensor::requires_grad);
    let gradient = |tensor: Tensor| {
        let gradient = tensor.grad();
        if gradient.defined() { gradient.flatten(0, -1) } else { tensor.zeros_like().flatten(0, -1) }
    };
    Tensor::cat(&parameters.map(gradient).collect::<Vec<_>>(), 0)
}

#[test]
fn faults_of_joint_operations_show_in_the_gradients() {
    let name = test_name!(faults_of_joint_operations_show_in_the_gradients);
    let (amdim, simclr) = ((some()[0], ""), (some()[1], ""));
    let cases: Vec<(Case, Option<Fault>)> = [(amdim, None), (simclr, None)]
        .into_iter()
        .chain(Fault::ALL.map(|fault| (amdim, Some(fault))))
        .chain([Fault::TooLargeGradient, Fault::OwnRows].map(|fault| (simclr, Some(fault))))
        .collect();
    let found = ranks::run(name, 2, |world| {
        let of_case = |(case, fault): &(Case, Option<Fault>)| gradients(*case, world, *fault);
        cases.iter().map(|case| (format!("{case:?}"), of_case(case))).collect()
    });
    let Some(found) = found else { return };
    let _alone = crate::testing::lock_generator();
    let [of_amdim, of_simclr] = [amdim, simclr].map(|case| gradients(case, World::ALONE, None));
    for case in &cases {
        let expected = if case.0 == amdim { &of_amdim } else { &of_simclr };
        let off = (&found[0][&format!("{case:?}")] - expected).norm() / expected.norm();
        let off = off.double_value(&[]);
        assert_eq!(case.1.is_some(), off > 1e-3, "{case:?}: gradients are off by {off:.1e}");
        assert!(case.1.is_some() || off < 1e-9, "{case:?}: gradients are off by {off:.1e}");
    }
}

#[test]
fn a_step_sends_gradients_and_contexts_and_little_else() {
    let name = test_name!(a_step_sends_gradients_and_contexts_and_little_else);
    let case = (("amdim", "encoder = { ndf = 32, n_rkhs = 128, n_depth = 2 }"), "");
    let found = ranks::run(name, 2, |world| {
        let config = config(case);
        let mut trainer = trainer(&config, world);
        trainer.step(&own(&config, 0, world)).unwrap(); // more precedes the first step
        let before = world.sent_bytes();
        trainer.step(&own(&config, 1, world)).unwrap();
        let sent = (world.sent_bytes() - before) as i64;
        let tensors = trainer.network().tensors().into_iter();
        let is_trained =
            |(name, tensor): &(String, Tensor)| tensor.grad().defined() && !name.starts_with("evaluator");
        let gradients = tensors.filter(is_trained).map(|(_, tensor)| tensor.numel() as i64).sum();
        [("numbers".to_owned(), Tensor::from_slice(&[gradients, sent]))].into_iter().collect()
    });
    let Some(found) = found else { return };
    for of_rank in found {
        let numbers = Vec::<i64>::try_from(&of_rank["numbers"]).unwrap();
        let (bytes, size, samples, channels) = (8, 2, BATCH / 2, 128);
        let gradients = 2 * numbers[0] * bytes * (size - 1) / size;
        // Two global and two local contexts of each image, forward and back.
        let contexts = 2 * 4 * samples * channels * bytes * (size - 1);
        let most = 12 * (gradients + contexts) / 10;
        assert!((gradients..most).contains(&numbers[1]), "sent {} of at most {most} bytes", numbers[1]);
    }
}
