//! Adam over named tensors, so that its state can be saved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::VarStore};

/// Settings of the optimizer; the defaults are the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Decay of the mean gradient and of the mean squared gradient.
    pub betas: [f64; 2],
    /// Added to the root of the mean squared gradient.
    pub eps: f64,
    /// Added to the gradient times the parameter (L2, not decoupled).
    pub weight_decay: f64,
    /// Updates over which the learning rate rises linearly.
    pub warmup_steps: u64,
    /// Shares of the run after which the learning rate drops.
    pub drop_at: Vec<f64>,
    /// What a drop multiplies the learning rate by.
    pub drop_factor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            betas: [0.8, 0.999],
            eps: 1e-8,
            weight_decay: 1e-5,
            warmup_steps: 500,
            drop_at: vec![30.0 / 50.0, 45.0 / 50.0],
            drop_factor: 0.2,
        }
    }
}

/// Adam (Kingma, Ba 2015) with L2 weight decay, as in PyTorch.
#[derive(Debug)]
pub struct Adam {
    slots: Vec<Slot>,
    updates: u64,
    config: Config,
}

/// One parameter with its moments.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
}

impl Adam {
    /// An optimizer of all trained tensors of `vars`, in the order of their names.
    pub fn new(vars: &VarStore, config: &Config) -> Self {
        let named: BTreeMap<_, _> = vars.variables().into_iter().collect();
        let slots = named
            .into_iter()
            .filter(|(_, tensor)| tensor.requires_grad())
            .map(|(name, parameter)| {
                let zeros = parameter.detach().zeros_like();
                Slot { name, parameter, exp_avg: zeros.copy(), exp_avg_sq: zeros }
            })
            .collect();
        Self { slots, updates: 0, config: config.clone() }
    }

    /// Forgets the gradients of the step before.
    pub fn zero_grad(&mut self) {
        for slot in &mut self.slots {
            slot.parameter.zero_grad();
        }
    }

    /// One update at the learning rate `lr`. A parameter that has no gradient is left alone, weight decay included.
    pub fn step(&mut self, lr: f64) {
        self.updates += 1;
        let corrections = self.config.betas.map(|beta| 1.0 - beta.powf(self.updates as f64));
        tch::no_grad(|| {
            for slot in &mut self.slots {
                let gradient = slot.parameter.grad();
                if gradient.defined() {
                    slot.update(&gradient, lr, corrections, &self.config);
                }
            }
        });
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The moments under the names of their parameters, sharing their memory: copying into them restores a state.
    pub fn moments(&self) -> BTreeMap<String, Tensor> {
        let both = |slot: &Slot| {
            let moments = [("exp_avg", &slot.exp_avg), ("exp_avg_sq", &slot.exp_avg_sq)];
            moments.map(|(moment, tensor)| (format!("{moment}.{}", slot.name), tensor.shallow_clone()))
        };
        self.slots.iter().flat_map(both).collect()
    }

    /// Continues after `updates`, the moments having been restored.
    pub fn resume(&mut self, updates: u64) {
        self.updates = updates;
    }
}

impl Slot {
    fn update(&mut self, gradient: &Tensor, lr: f64, corrections: [f64; 2], config: &Config) {
        let [beta_1, beta_2] = config.betas;
        let gradient = gradient + &self.parameter * config.weight_decay;
        self.exp_avg *= beta_1;
        self.exp_avg += &gradient * (1.0 - beta_1);
        self.exp_avg_sq *= beta_2;
        self.exp_avg_sq += gradient.square() * (1.0 - beta_2);
        let denominator = self.exp_avg_sq.sqrt() / corrections[1].sqrt() + config.eps;
        self.parameter -= &self.exp_avg / denominator * (lr / corrections[0]);
    }
}
