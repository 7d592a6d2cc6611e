//! Adam over named tensors. Its state can be saved and restored.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::config::Config;
use torchkit::{AdamScalars, AdamSettings, AdamTensors};

/// Adam (Kingma, Ba 2015) with L2 weight decay, as in PyTorch. All parameters are updated by one fused
/// operation, without reading anything back to the host.
#[derive(Debug)]
pub struct Adam {
    slots: Vec<Slot>,
    updates: u64,
    /// The number of updates as a scalar on the device, without the updates that were skipped there.
    step: Tensor,
    /// The learning rate of the next update.
    lr: Tensor,
    /// 1 from the first skipped update on, 0 before. Updates after a skipped one are skipped, too.
    stopped: Tensor,
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
    /// Returns an optimizer of all trained tensors of `vars`, in the order of their names, with moments of
    /// zero.
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
        let scalar = |kind| Tensor::zeros([], (kind, vars.device()));
        // The fused update of CUDA reads an f32; the one of the CPU takes any kind.
        let lr = scalar(if vars.device() == Device::Cpu { Kind::Double } else { Kind::Float });
        let [step, stopped] = [scalar(Kind::Float), scalar(Kind::Float)];
        Self { slots, updates: 0, step, lr, stopped, config: config.clone() }
    }

    /// Discards the gradients of the previous step.
    pub fn forget_gradients(&self) -> Result<()> {
        let parameters: Vec<_> = self.slots.iter().map(|slot| &slot.parameter).collect();
        Ok(torchkit::forget_gradients(&parameters)?)
    }

    /// Returns the gradients of all parameters that have one, in the order of their names. They share the
    /// memory of the gradients.
    pub fn gradients(&self) -> Vec<Tensor> {
        self.slots.iter().map(|slot| slot.parameter.grad()).filter(Tensor::defined).collect()
    }

    /// Makes one update at the learning rate `lr`. A parameter without a gradient is not changed, not even by
    /// weight decay.
    ///
    /// Gradients whose norm is above [`Config::clip_norm`] are scaled down to it. If the norm or `loss` is
    /// not finite, this update and all later ones are skipped, so that the state stays the one before the
    /// broken step. Returns a scalar on the device: 1 if the update was skipped, 0 if not.
    pub fn step(&mut self, lr: f64, loss: &Tensor) -> Result<Tensor> {
        self.set_lr(lr);
        let skipped = self.update(loss)?;
        self.count();
        Ok(skipped)
    }

    /// Writes the learning rate of the next update to the device.
    pub fn set_lr(&mut self, lr: f64) {
        let _ = self.lr.fill_(lr);
    }

    /// Counts an update that was queued.
    pub fn count(&mut self) {
        self.updates += 1;
    }

    /// Makes the part of a [`step`](Self::step) that runs on the device only. A recording of it can be
    /// replayed with another learning rate.
    pub fn update(&self, loss: &Tensor) -> Result<Tensor> {
        let gradients: Vec<_> = self.slots.iter().map(|slot| slot.parameter.grad()).collect();
        let mut tensors = AdamTensors::default();
        for (slot, gradient) in self.slots.iter().zip(&gradients).filter(|(_, gradient)| gradient.defined()) {
            tensors.parameters.push(&slot.parameter);
            tensors.gradients.push(gradient);
            tensors.means.push(&slot.exp_avg);
            tensors.squares.push(&slot.exp_avg_sq);
        }
        let norm = if tensors.gradients.is_empty() {
            self.step.zeros_like()
        } else {
            torchkit::gradient_norm(&tensors.gradients)?
        };
        let is_broken = (&norm + loss.detach()).isfinite().logical_not().to_kind(Kind::Float);
        let skip = is_broken.maximum(&self.stopped);
        self.stopped.shallow_clone().copy_(&skip);
        let scale = match self.config.clip_norm {
            Some(most) => (&norm / most).clamp_min(1.0),
            None => norm.ones_like(),
        };
        let scalars = AdamScalars { lr: &self.lr, step: &self.step, scale: &scale, skip: &skip };
        let Config { betas, weight_decay, eps, .. } = self.config;
        torchkit::fused_adam(&tensors, scalars, AdamSettings { betas, weight_decay, eps })?;
        Ok(skip)
    }

    /// Returns the number of updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Returns the moments by the names of their parameters. They share the memory of the optimizer: a state
    /// is restored by copying into them.
    pub fn moments(&self) -> BTreeMap<String, Tensor> {
        let both = |slot: &Slot| {
            let moments = [("exp_avg", &slot.exp_avg), ("exp_avg_sq", &slot.exp_avg_sq)];
            moments.map(|(moment, tensor)| (format!("{moment}.{}", slot.name), tensor.shallow_clone()))
        };
        self.slots.iter().flat_map(both).collect()
    }

    /// Continues after `updates` updates. The moments must have been restored before.
    pub fn resume(&mut self, updates: u64) {
        self.updates = updates;
        let _ = self.step.fill_(updates as f64);
        let _ = self.stopped.zero_();
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::Init;

    use super::*;
    use crate::optim::Schedule;

    /// Returns parameters of several shapes, drawn from a seed.
    fn vars(kind: Kind) -> VarStore {
        tch::manual_seed(7);
        let mut vars = VarStore::new(Device::Cpu);
        for (name, shape) in [("a", &[3i64, 5][..]), ("b", &[7]), ("c", &[2, 3, 4, 4]), ("unused", &[2])] {
            let _ = vars.root().var(name, shape, Init::Randn { mean: 0.0, stdev: 1.0 });
        }
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
            if name != "unused" {
                (&parameter * parameter.detach().randn_like()).sum(None::<Kind>).backward();
            }
        }
    }

    fn is_one(scalar: &Tensor) -> bool {
        scalar.double_value(&[]) > 0.5
    }

    fn finite() -> Tensor {
        Tensor::from(1.0f32)
    }

    /// Adam by its definition, one parameter after the other.
    fn plain_step(slots: &mut [Slot], updates: i32, lr: f64, config: &Config) {
        let [beta_1, beta_2] = config.betas;
        let corrections = config.betas.map(|beta| 1.0 - beta.powi(updates));
        tch::no_grad(|| {
            for slot in slots {
                let gradient = slot.parameter.grad();
                if !gradient.defined() {
                    continue;
                }
                let gradient = gradient + &slot.parameter * config.weight_decay;
                slot.exp_avg *= beta_1;
                slot.exp_avg += &gradient * (1.0 - beta_1);
                slot.exp_avg_sq *= beta_2;
                slot.exp_avg_sq += gradient.square() * (1.0 - beta_2);
                let denominator = slot.exp_avg_sq.sqrt() / corrections[1].sqrt() + config.eps;
                slot.parameter -= &slot.exp_avg / denominator * (lr / corrections[0]);
            }
        });
    }

    fn largest_difference(a: &VarStore, b: &VarStore) -> f64 {
        let b = b.variables();
        let of = |(name, tensor): (String, Tensor)| (tensor - &b[&name]).abs().max().double_value(&[]);
        a.variables().into_iter().map(of).fold(0.0, f64::max)
    }

    #[test]
    fn the_fused_update_is_the_plain_one() {
        let _alone = crate::testing::lock_generator();
        let config = Config { weight_decay: 1e-2, ..Config::default() };
        for (kind, bound) in [(Kind::Float, 2e-7), (Kind::Double, 1e-14)] {
            let (fused_vars, plain_vars) = (vars(kind), vars(kind));
            let mut fused = Adam::new(&fused_vars, &config);
            let mut plain = Adam::new(&plain_vars, &config);
            for step in 1..=50 {
                fused.forget_gradients().unwrap();
                plain.forget_gradients().unwrap();
                backward(&fused_vars, step);
                backward(&plain_vars, step);
                let skipped = fused.step(1e-3, &finite()).unwrap();
                plain_step(&mut plain.slots, step as i32, 1e-3, &config);
                assert!(!is_one(&skipped));
            }
            let difference = largest_difference(&fused_vars, &plain_vars);
            assert!(difference < bound, "{kind:?}: {difference:e}");
            assert!(largest_difference(&fused_vars, &vars(kind)) > 1e-2, "nothing was learned");
        }
    }

    #[test]
    fn settings_of_a_run_from_before_there_was_a_schedule_keep_its_warm_up_and_drops() {
        let old = "lr = 0.0002\nbetas = [0.8, 0.999]\neps = 1e-8\nweight_decay = 1e-5\nwarmup_steps = 500\ndrop_at = [0.6, 0.9]\n\
                   drop_factor = 0.2";
        let old: Config = toml::from_str(old).unwrap();
        assert_eq!((old.warmup_steps, old.schedule), (Some(500), super::super::Drops::Published));
        let schedule = Schedule::new(&old, 100, 10.0);
        assert!((schedule.at(9) - 2e-4 * 10.0 / 500.0).abs() < 1e-15);
        assert!((schedule.at(60) - 0.2 * 2e-4 * 61.0 / 500.0).abs() < 1e-15);
    }

    #[test]
    fn a_loss_or_gradient_that_is_not_finite_changes_nothing() {
        let _alone = crate::testing::lock_generator();
        let vars = vars(Kind::Float);
        let mut adam = Adam::new(&vars, &Config::default());
        backward(&vars, 1);
        assert!(!is_one(&adam.step(1e-3, &finite()).unwrap()));
        let before: Vec<Tensor> =
            sorted(&vars).into_values().chain(adam.moments().into_values()).map(|t| t.copy()).collect();
        adam.forget_gradients().unwrap();
        backward(&vars, 2);
        let _ = vars.variables()["b"].grad().g_mul_scalar_(f64::INFINITY);
        assert!(is_one(&adam.step(1e-3, &finite()).unwrap()));
        let nan = Tensor::from(f32::NAN);
        adam.forget_gradients().unwrap();
        backward(&vars, 3);
        assert!(is_one(&adam.step(1e-3, &nan).unwrap()));
        adam.forget_gradients().unwrap();
        backward(&vars, 4);
        assert!(is_one(&adam.step(1e-3, &finite()).unwrap()), "it goes on from a broken step");
        let after = sorted(&vars).into_values().chain(adam.moments().into_values());
        assert!(before.iter().zip(after).all(|(before, after)| before.equal(&after)));
        assert_eq!((adam.step.double_value(&[]), adam.updates()), (1.0, 4));
    }

    #[test]
    fn gradients_are_scaled_down_to_the_largest_norm_allowed() {
        let _alone = crate::testing::lock_generator();
        let config =
            |clip_norm| Config { clip_norm, betas: [0.0, 0.0], weight_decay: 0.0, ..Config::default() };
        let vars = vars(Kind::Double);
        let mut adam = Adam::new(&vars, &config(Some(0.5)));
        backward(&vars, 1);
        assert!(!is_one(&adam.step(0.0, &finite()).unwrap()));
        let moments = adam.moments();
        let means = moments.iter().filter(|(name, _)| name.starts_with("exp_avg."));
        let squares: f64 = means.map(|(_, mean)| mean.square().sum(Kind::Double).double_value(&[])).sum();
        assert!((squares.sqrt() - 0.5).abs() < 1e-6, "{}", squares.sqrt());
    }
}
