//! Fused updates beside the definitions of the optimizers.

use anyhow::{Result, ensure};
use serde_json::json;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::check::{Found, Options, largest};
use crate::optim::{self, OptimizerName};

/// Bounds on the error of f32: of the parameters, as a share of the way that they went, and of the moments,
/// as a share of themselves. They bound norms, because single numbers may be off by more where a mean
/// gradient is next to nothing.
const UPDATES_OFF: [f64; 2] = [1e-3, 1e-5];

/// The number of updates that are compared.
const UPDATES: i32 = 50;

const LEARNING_RATE: f64 = 1e-3;

/// Compares fifty fused updates of each optimizer with its definition, for several seeds.
pub(super) fn optimizers(options: &Options) -> Result<Found> {
    let names = [OptimizerName::Adam, OptimizerName::AdamW, OptimizerName::Sgd, OptimizerName::Lars];
    let mut worst = serde_json::Map::new();
    for (name, nesterov) in names.map(|name| (name, false)).into_iter().chain([(OptimizerName::Sgd, true)]) {
        let config = optim::Config { name, nesterov, ..decaying() };
        let offs = (0..if options.is_full { 12 } else { 4 })
            .map(|seed| updates_off(options.device, seed, &config, &config));
        let offs = offs.collect::<Result<Vec<_>>>()?;
        let [parameters, moments] = [0, 1].map(|which| largest(offs.iter().map(|off| off[which])));
        ensure!(
            parameters < UPDATES_OFF[0] && moments < UPDATES_OFF[1],
            "{}: parameters off by {parameters:.1e} of the way, moments by {moments:.1e}",
            name.name()
        );
        let label = if nesterov { "nesterov" } else { name.name() };
        worst.insert(label.to_owned(), json!({"parameters_off": parameters, "moments_off": moments}));
    }
    Ok(Found::Figures(worst.into()))
}

/// Returns settings of Adam that reach all terms of its definition.
fn decaying() -> optim::Config {
    optim::Config { weight_decay: 1e-2, clip_norm: Some(5.0), eta: 0.1, ..optim::Config::default() }
}

/// A parameter that is updated by the definition, in f64.
struct Plain {
    parameter: Tensor,
    first: Tensor,
    second: Tensor,
}

impl Plain {
    fn new(parameter: &Tensor) -> Self {
        let parameter = parameter.detach().to_kind(Kind::Double);
        Self { first: parameter.zeros_like(), second: parameter.zeros_like(), parameter }
    }

    fn step(&mut self, gradient: &Tensor, step: i32, config: &optim::Config) {
        let penalized = gradient + &self.parameter * config.weight_decay;
        match config.name {
            OptimizerName::Adam => self.adam(&penalized, step, config),
            OptimizerName::AdamW => {
                self.parameter = &self.parameter * (1.0 - LEARNING_RATE * config.weight_decay);
                self.adam(gradient, step, config);
            }
            OptimizerName::Sgd => {
                self.first = &self.first * config.momentum + &penalized;
                let ahead = if config.nesterov { config.momentum } else { 0.0 };
                let along = if config.nesterov { penalized } else { self.first.copy() } + &self.first * ahead;
                self.parameter = &self.parameter - along * LEARNING_RATE;
            }
            OptimizerName::Lars => {
                let is_excluded = self.parameter.dim() == 1;
                let (size, slope) = (norm_of(&self.parameter), norm_of(&penalized));
                let (term, trust) =
                    if is_excluded { (gradient, 1.0) } else { (&penalized, config.eta * size / slope) };
                self.first = &self.first * config.momentum + term * (LEARNING_RATE * trust);
                self.parameter = &self.parameter - &self.first;
            }
        }
    }

    fn adam(&mut self, gradient: &Tensor, step: i32, config: &optim::Config) {
        let [beta_1, beta_2] = config.betas;
        self.first = &self.first * beta_1 + gradient * (1.0 - beta_1);
        self.second = &self.second * beta_2 + gradient.square() * (1.0 - beta_2);
        let root = (&self.second / (1.0 - beta_2.powi(step))).sqrt() + config.eps;
        self.parameter = &self.parameter - &self.first / (1.0 - beta_1.powi(step)) / root * LEARNING_RATE;
    }
}

/// Returns how far fifty fused updates by `config` are from the definition by `defined`, in the units of
/// [`UPDATES_OFF`].
fn updates_off(
    device: Device,
    seed: i64,
    config: &optim::Config,
    defined: &optim::Config,
) -> Result<[f64; 2]> {
    tch::manual_seed(seed);
    let vars = VarStore::new(device);
    let parameters = add_parameters(&vars);
    let mut plain: Vec<_> = parameters.iter().map(Plain::new).collect();
    let start: Vec<_> = plain.iter().map(|plain| plain.parameter.copy()).collect();
    let mut fused = optim::Optimizer::new(&vars, config);
    for step in 1..=UPDATES {
        let gradients: Vec<_> = parameters.iter().map(Tensor::randn_like).collect();
        update_fused(&mut fused, &parameters, &gradients)?;
        update_plain(&mut plain, &gradients, step, defined);
    }
    let moments = fused.moments();
    let exact = |field: fn(&Plain) -> &Tensor| plain.iter().map(|p| field(p).copy()).collect::<Vec<_>>();
    let moment = |kind: &str| -> Vec<_> { (0..4).map(|k| moments[&format!("{kind}.p{k}")].copy()).collect() };
    let share = |kind: &str, exact: Vec<Tensor>| norm(&differences(&moment(kind), &exact)) / norm(&exact);
    let fields: [fn(&Plain) -> &Tensor; 2] = [|p| &p.first, |p| &p.second];
    let kinds: &[&str] = match config.name {
        OptimizerName::Adam | OptimizerName::AdamW => &["exp_avg", "exp_avg_sq"],
        OptimizerName::Sgd | OptimizerName::Lars => &["momentum"],
    };
    let shares = kinds.iter().zip(fields).map(|(kind, field)| share(kind, exact(field)));
    let moments_off = largest(shares);
    let ends = exact(|plain| &plain.parameter);
    let off = norm(&differences(&parameters, &ends)) / norm(&differences(&start, &ends));
    Ok([off, moments_off])
}

/// Adds the parameters `p0` to `p3`, drawn on the CPU; one is channels-last, as those of convolutions are.
fn add_parameters(vars: &VarStore) -> Vec<Tensor> {
    let shapes: [&[i64]; 4] = [&[300, 5], &[7], &[1], &[64, 4, 4, 32]];
    let drawn = shapes.map(|shape| Tensor::randn(shape, (Kind::Float, Device::Cpu)));
    let drawn = drawn.map(|tensor| if tensor.dim() == 4 { tensor.permute([0, 3, 1, 2]) } else { tensor });
    let named = (0..).zip(drawn);
    named.map(|(k, drawn)| vars.root().add(&format!("p{k}"), drawn.to_device(vars.device()), true)).collect()
}

fn update_fused(fused: &mut optim::Optimizer, parameters: &[Tensor], gradients: &[Tensor]) -> Result<()> {
    fused.forget_gradients()?;
    let products = parameters.iter().zip(gradients).map(|(p, gradient)| (p * gradient).sum(Kind::Float));
    let total: Tensor = products.sum();
    total.backward();
    let _ = fused.step(LEARNING_RATE, &total)?;
    Ok(())
}

fn update_plain(plain: &mut [Plain], gradients: &[Tensor], step: i32, config: &optim::Config) {
    let gradients: Vec<_> = gradients.iter().map(|gradient| gradient.to_kind(Kind::Double)).collect();
    let scale = (norm(&gradients) / config.clip_norm.unwrap_or(f64::INFINITY)).max(1.0);
    plain
        .iter_mut()
        .zip(&gradients)
        .for_each(|(plain, gradient)| plain.step(&(gradient / scale), step, config));
}

/// Returns the 2-norm of all tensors together.
fn norm(tensors: &[Tensor]) -> f64 {
    tensors.iter().map(|t| t.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
}

/// Returns the 2-norm of a tensor.
fn norm_of(tensor: &Tensor) -> f64 {
    norm(std::slice::from_ref(tensor))
}

/// Returns the differences of pairs, in f64.
fn differences(some: &[Tensor], others: &[Tensor]) -> Vec<Tensor> {
    some.iter().zip(others).map(|(a, b)| a.detach().to_kind(Kind::Double) - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_with_slightly_wrong_settings_is_not_taken_for_rounding() {
        let _alone = crate::testing::lock_generator();
        let exact = decaying();
        let off = |config: optim::Config| updates_off(Device::Cpu, 7, &config, &exact).unwrap();
        assert!(off(exact.clone()).iter().zip(UPDATES_OFF).all(|(off, bound)| *off < bound));
        let [decay, clip] = [
            optim::Config { weight_decay: 1.02e-2, ..exact.clone() },
            optim::Config { clip_norm: Some(5.05), ..exact.clone() },
        ];
        for wrong in [decay, clip, optim::Config { betas: [0.81, 0.999], ..exact.clone() }] {
            assert!(off(wrong.clone())[0] > UPDATES_OFF[0], "{wrong:?}");
        }
    }
}
