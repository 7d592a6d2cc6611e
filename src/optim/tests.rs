//! The optimizers beside their definitions.

use std::collections::BTreeMap;

use tch::{
    Device, Kind, Tensor,
    nn::{Init, VarStore},
};

use super::{Config, Decay, Exclude, Optimizer, OptimizerName, Schedule};

const ALL: [OptimizerName; 4] =
    [OptimizerName::Adam, OptimizerName::AdamW, OptimizerName::Sgd, OptimizerName::Lars];

/// Returns parameters of several shapes, drawn from a seed: one has the strides of channels-last, one is zero,
/// one never has a gradient, one has gradients of zero.
fn vars(kind: Kind) -> VarStore {
    tch::manual_seed(7);
    let mut vars = VarStore::new(Device::Cpu);
    let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
    for (name, shape) in [("a", &[3i64, 5][..]), ("b", &[7]), ("still", &[3, 2]), ("unused", &[2])] {
        let _ = vars.root().var(name, shape, normal);
    }
    let _ = vars.root().var("zero", &[4, 3], Init::Const(0.0));
    let pixels_first = Tensor::randn([2, 4, 5, 3], (Kind::Float, Device::Cpu));
    let _ = vars.root().add("c", pixels_first.permute([0, 3, 1, 2]), true);
    if kind == Kind::Double {
        vars.double();
    }
    vars
}

fn sorted(vars: &VarStore) -> BTreeMap<String, Tensor> {
    vars.variables().into_iter().collect()
}

/// Sets a gradient on every parameter except `unused`.
fn backward(vars: &VarStore, step: u64) {
    tch::manual_seed(step as i64);
    for (name, parameter) in sorted(vars) {
        let slope = parameter.detach().randn_like();
        match name.as_str() {
            "unused" => (),
            "still" => (&parameter * slope.zeros_like()).sum(None::<Kind>).backward(),
            _ => (&parameter * slope).sum(None::<Kind>).backward(),
        }
    }
}

fn is_one(scalar: &Tensor) -> bool {
    scalar.double_value(&[]) > 0.5
}

fn finite() -> Tensor {
    Tensor::from(1.0f32)
}

/// A parameter that is updated by the definition of an optimizer, term by term.
struct Plain {
    parameter: Tensor,
    first: Tensor,
    second: Tensor,
}

impl Plain {
    fn all(vars: &VarStore) -> Vec<Self> {
        let plain = |parameter: Tensor| {
            let zeros = parameter.detach().zeros_like();
            Self { parameter, first: zeros.copy(), second: zeros }
        };
        sorted(vars).into_values().map(plain).collect()
    }

    fn step(&mut self, updates: i32, lr: f64, config: &Config) {
        let gradient = self.parameter.grad();
        if !gradient.defined() {
            return;
        }
        let is_excluded = config.excludes(self.parameter.dim());
        let weight_decay = if is_excluded { 0.0 } else { config.weight_decay };
        let penalized = &gradient + &self.parameter * weight_decay;
        match config.name {
            OptimizerName::Adam => self.adam(&penalized, updates, lr, config),
            OptimizerName::AdamW => {
                self.parameter *= 1.0 - lr * weight_decay;
                self.adam(&gradient, updates, lr, config);
            }
            OptimizerName::Sgd => {
                self.first = &self.first * config.momentum + &penalized;
                let along = if config.nesterov {
                    penalized + &self.first * config.momentum
                } else {
                    self.first.copy()
                };
                self.parameter -= along * lr;
            }
            OptimizerName::Lars => {
                let norm = |tensor: &Tensor| tensor.square().sum(None::<Kind>).sqrt().double_value(&[]);
                let (size, slope) = (norm(&self.parameter), norm(&penalized));
                let is_trusted = !is_excluded && size > 0.0 && slope > 0.0;
                let trust = if is_trusted { config.eta * size / slope } else { 1.0 };
                self.first = &self.first * config.momentum + penalized * (lr * trust);
                self.parameter -= &self.first;
            }
        }
    }

    fn adam(&mut self, gradient: &Tensor, updates: i32, lr: f64, config: &Config) {
        let [beta_1, beta_2] = config.betas;
        let corrections = config.betas.map(|beta| 1.0 - beta.powi(updates));
        self.first = &self.first * beta_1 + gradient * (1.0 - beta_1);
        self.second = &self.second * beta_2 + gradient.square() * (1.0 - beta_2);
        let denominator = self.second.sqrt() / corrections[1].sqrt() + config.eps;
        self.parameter -= &self.first / denominator * (lr / corrections[0]);
    }
}

fn largest_difference(a: &VarStore, b: &VarStore) -> f64 {
    let b = b.variables();
    let of = |(name, tensor): (String, Tensor)| (tensor - &b[&name]).abs().max().double_value(&[]);
    a.variables().into_iter().map(of).fold(0.0, f64::max)
}

/// Returns settings of every optimizer that reach all terms of its definition.
fn variants() -> Vec<Config> {
    let excluding = [None, Some(Exclude::None), Some(Exclude::NormsAndBiases)];
    let named = ALL.into_iter().flat_map(|name| excluding.map(|exclude| (name, exclude)));
    let mut variants: Vec<_> = named
        .map(|(name, exclude)| Config { name, exclude, weight_decay: 1e-2, eta: 0.1, ..Config::default() })
        .collect();
    let sgd = Config { name: OptimizerName::Sgd, ..Config::default() };
    variants.push(Config { nesterov: true, ..sgd.clone() });
    variants.push(Config { momentum: 0.0, ..sgd.clone() });
    variants.push(Config { momentum: 0.0, name: OptimizerName::Lars, ..sgd });
    variants.push(Config { name: OptimizerName::Lars, weight_decay: 0.0, ..Config::default() });
    variants
}

#[test]
fn every_fused_update_is_the_one_of_its_definition() {
    let _alone = crate::testing::lock_generator();
    for config in variants() {
        for (kind, bound) in [(Kind::Float, 1e-6), (Kind::Double, 1e-14)] {
            let (fused_vars, plain_vars) = (vars(kind), vars(kind));
            let mut fused = Optimizer::new(&fused_vars, &config);
            let mut plain = Plain::all(&plain_vars);
            for step in 1..=30 {
                // LARS has the rate within its momentum, so the rate changes.
                let lr = 1e-3 * (1.0 + (step % 3) as f64);
                fused.forget_gradients().unwrap();
                for plain in &mut plain {
                    plain.parameter.zero_grad();
                }
                backward(&fused_vars, step);
                backward(&plain_vars, step);
                let with_gradient = plain.iter_mut().filter(|plain| plain.parameter.grad().defined());
                tch::no_grad(|| with_gradient.for_each(|plain| plain.step(step as i32, lr, &config)));
                assert!(!is_one(&fused.step(lr, &finite()).unwrap()));
            }
            let difference = largest_difference(&fused_vars, &plain_vars);
            assert!(difference < bound, "{config:?}, {kind:?}: {difference:e}");
            assert!(largest_difference(&fused_vars, &vars(kind)) > 1e-2, "nothing was learned: {config:?}");
        }
    }
}

#[test]
fn lars_leaves_norms_and_biases_out_and_the_others_do_not() {
    let excluded = |config: &Config| [1, 2, 4].map(|dimensions| config.excludes(dimensions));
    for name in ALL {
        let config = |exclude| Config { name, exclude, ..Config::default() };
        let is_lars = name == OptimizerName::Lars;
        assert_eq!(excluded(&config(None)), [is_lars, false, false], "{name:?}");
        assert_eq!(excluded(&config(Some(Exclude::None))), [false; 3]);
        assert_eq!(excluded(&config(Some(Exclude::NormsAndBiases))), [true, false, false]);
    }
}

#[test]
fn a_loss_or_gradient_that_is_not_finite_changes_nothing() {
    let _alone = crate::testing::lock_generator();
    for name in ALL {
        let vars = vars(Kind::Float);
        let mut optimizer = Optimizer::with_probe(&vars, "b", &Config { name, ..Config::default() });
        let mut step = |number, loss: &Tensor, broken: Option<f64>| {
            optimizer.forget_gradients().unwrap();
            backward(&vars, number);
            if let Some(factor) = broken {
                let _ = vars.variables()["a"].grad().g_mul_scalar_(factor);
            }
            let skipped = is_one(&optimizer.step(1e-3, loss).unwrap());
            let state = sorted(&vars).into_values().chain(optimizer.moments().into_values());
            (skipped, state.map(|tensor| tensor.copy()).collect::<Vec<_>>())
        };
        let (skipped, before) = step(1, &finite(), None);
        assert!(!skipped);
        let nan = Tensor::from(f32::NAN);
        let steps = [
            step(2, &finite(), Some(f64::INFINITY)),
            step(3, &finite(), Some(f64::NAN)),
            step(4, &nan, None),
            step(5, &finite(), None),
        ];
        for (skipped, after) in steps {
            assert!(skipped, "{name:?} goes on from a broken step");
            assert!(before.iter().zip(after).all(|(before, after)| before.equal(&after)), "{name:?}");
        }
        assert_eq!(optimizer.updates(), 5);
        optimizer.resume(1);
        optimizer.forget_gradients().unwrap();
        backward(&vars, 6);
        assert!(!is_one(&optimizer.step(1e-3, &finite()).unwrap()), "{name:?} does not resume");
    }
}

#[test]
fn a_broken_gradient_of_the_probe_stops_all_parameters() {
    let _alone = crate::testing::lock_generator();
    let (vars, before) = (vars(Kind::Float), vars(Kind::Float));
    let config = Config { name: OptimizerName::Lars, ..Config::default() };
    let mut optimizer = Optimizer::with_probe(&vars, "evaluator", &config);
    let probe = vars.root().sub("evaluator").var("w", &[2], Init::Const(1.0));
    assert!(optimizer.moments().keys().all(|name| !name.contains("evaluator")), "it was not there yet");
    optimizer = Optimizer::with_probe(&vars, "evaluator", &config);
    backward(&vars, 1);
    let _ = probe.grad().g_mul_scalar_(f64::NAN);
    assert!(is_one(&optimizer.step(1.0, &finite()).unwrap()));
    let others = before.variables();
    assert!(others.iter().all(|(name, tensor)| tensor.equal(&vars.variables()[name])));
}

#[test]
fn gradients_are_scaled_down_to_the_largest_norm_allowed() {
    let _alone = crate::testing::lock_generator();
    for name in ALL {
        let config = |clip_norm| Config { name, clip_norm, weight_decay: 1e-2, ..Config::default() };
        let (clipped, scaled) = (vars(Kind::Double), vars(Kind::Double));
        backward(&clipped, 1);
        let gradients = || sorted(&clipped).into_values().map(|tensor| tensor.grad()).filter(Tensor::defined);
        let squares: f64 = gradients().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum();
        backward(&scaled, 1);
        for gradient in sorted(&scaled).into_values().map(|tensor| tensor.grad()).filter(Tensor::defined) {
            let _ = gradient.shallow_clone().g_mul_scalar_(0.5 / squares.sqrt());
        }
        for (vars, config) in [(&clipped, config(Some(0.5))), (&scaled, config(Some(1.0)))] {
            assert!(!is_one(&Optimizer::new(vars, &config).step(0.1, &finite()).unwrap()));
        }
        let difference = largest_difference(&clipped, &scaled);
        assert!(difference < 1e-7, "{name:?}: {difference:e}");
    }
}

#[test]
fn the_probe_of_another_optimizer_than_adam_has_adam_at_its_own_rate() {
    let _alone = crate::testing::lock_generator();
    for name in ALL {
        let (together, alone) = (vars(Kind::Float), VarStore::new(Device::Cpu));
        let of_probe = ["mlp", "linear"].map(|name| {
            [&together, &alone].map(|vars| vars.root().sub("evaluator").var(name, &[3, 2], Init::Const(0.5)))
        });
        let mut optimizer =
            Optimizer::with_probe(&together, "evaluator", &Config { name, ..Config::default() });
        let mut adam = Optimizer::new(&alone, &Config::default());
        for step in 1..=10 {
            optimizer.forget_gradients().unwrap();
            adam.forget_gradients().unwrap();
            backward(&together, step);
            for [theirs, own] in &of_probe {
                (own * theirs.grad()).sum(Kind::Float).backward();
            }
            // Adam trains the probe at the rate of all.
            let _ = optimizer.step(if name == OptimizerName::Adam { 2e-4 } else { 4.8 }, &finite()).unwrap();
            let _ = adam.step(2e-4, &finite()).unwrap();
        }
        assert!(of_probe.iter().all(|[theirs, own]| theirs.equal(own)), "{name:?}");
        let names: Vec<_> =
            optimizer.moments().into_keys().filter(|name| name.contains("evaluator")).collect();
        let moments = ["exp_avg", "exp_avg_sq"];
        let expected = moments.map(|moment| ["linear", "mlp"].map(|w| format!("{moment}.evaluator.{w}")));
        assert_eq!(names, expected.concat(), "{name:?}");
    }
}

#[test]
fn moments_are_named_after_their_parameters() {
    let _alone = crate::testing::lock_generator();
    for (name, expected) in [
        (OptimizerName::Adam, &["exp_avg.a", "exp_avg_sq.a"][..]),
        (OptimizerName::AdamW, &["exp_avg.a", "exp_avg_sq.a"]),
        (OptimizerName::Sgd, &["momentum.a"]),
        (OptimizerName::Lars, &["momentum.a"]),
    ] {
        let vars = vars(Kind::Float);
        let moments = Optimizer::new(&vars, &Config { name, ..Config::default() }).moments();
        let of_a: Vec<_> = moments.keys().filter(|name| name.rsplit('.').next() == Some("a")).collect();
        assert_eq!(of_a, expected);
        assert_eq!(moments.len(), expected.len() * vars.len());
    }
}

#[test]
fn settings_of_earlier_versions_have_adam_with_their_warm_up_and_drops() {
    let old = "lr = 0.0002\nbetas = [0.8, 0.999]\neps = 1e-8\nweight_decay = 1e-5\nwarmup_steps = 500\ndrop_at = [0.6, 0.9]\n\
               drop_factor = 0.2";
    let old: Config = toml::from_str(old).unwrap();
    assert_eq!(
        (old.name, old.warmup_steps, old.schedule),
        (OptimizerName::Adam, Some(500), Decay::Published)
    );
    let schedule = Schedule::new(&old, 100, 10.0);
    assert!((schedule.at(9) - 2e-4 * 10.0 / 500.0).abs() < 1e-15);
    assert!((schedule.at(60) - 0.2 * 2e-4 * 61.0 / 500.0).abs() < 1e-15);
}

#[test]
fn nesterov_needs_sgd_with_a_momentum() {
    let check = |name, momentum| Config { name, momentum, nesterov: true, ..Config::default() }.check();
    assert!(check(OptimizerName::Sgd, 0.9).is_ok());
    for (name, momentum) in
        [(OptimizerName::Sgd, 0.0), (OptimizerName::Lars, 0.9), (OptimizerName::Adam, 0.9)]
    {
        let refused = crate::hint::render(&check(name, momentum).unwrap_err());
        assert!(refused.contains("optim.nesterov") && refused.contains("use sgd"), "{refused}");
    }
}
