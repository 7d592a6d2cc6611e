//! The optimizer of named tensors. Its state can be saved and restored.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    config::{Config, OptimizerName},
    group::{Group, Shared},
};

/// An optimizer of all trained tensors of a network: Adam, AdamW, SGD or LARS, by [`Config::name`].
///
/// Each group of parameters is updated by one call, without reading anything back to the host, so that a
/// recorded update can be replayed.
#[derive(Debug)]
pub struct Optimizer {
    /// The parameters that train at the scheduled rate: those with weight decay, and those without.
    groups: Vec<Group>,
    /// The parameters of an online probe, if they are not among the others.
    probe: Option<Group>,
    name: OptimizerName,
    updates: u64,
    /// The learning rate of the next update.
    lr: Tensor,
    /// 1 from the first skipped update on, 0 before. Updates after a skipped one are skipped, too.
    stopped: Tensor,
    clip_norm: Option<f64>,
}

/// Trained tensors by name.
type Named = BTreeMap<String, Tensor>;

impl Optimizer {
    /// Returns an optimizer of all trained tensors of `vars`, with moments of zero.
    pub fn new(vars: &VarStore, config: &Config) -> Self {
        Self::of(trained(vars), Named::new(), vars.device(), config)
    }

    /// Returns an optimizer of all trained tensors of `vars`, of which those below `probe` belong to an
    /// online probe.
    ///
    /// Adam trains both together. The learning rates of the other optimizers can be larger by orders of
    /// magnitude (4.8 of LARS at batches of 4096), so with them the probe has an Adam of its own, with the
    /// default settings and the constant rate of 2·10⁻⁴, the initial one of AMDIM's probe. Its gradients then
    /// do not count for [`Config::clip_norm`].
    pub fn with_probe(vars: &VarStore, probe: &str, config: &Config) -> Self {
        let below = format!("{probe}.");
        let is_apart = |name: &String| config.name != OptimizerName::Adam && name.starts_with(&below);
        let (of_probe, others) = trained(vars).into_iter().partition(|(name, _)| is_apart(name));
        Self::of(others, of_probe, vars.device(), config)
    }

    fn of(parameters: Named, of_probe: Named, device: Device, config: &Config) -> Self {
        // The fused updates of CUDA read an f32; those of the CPU take any kind.
        let rate_kind = if device == Device::Cpu { Kind::Double } else { Kind::Float };
        let rate = |rate: f64| Tensor::full([], rate, (rate_kind, device));
        let lr = rate(0.0);
        let (excluded, others): (Vec<_>, Vec<_>) =
            parameters.into_iter().partition(|(_, parameter)| config.excludes(parameter.dim()));
        let groups = [(false, others), (true, excluded)]
            .into_iter()
            .filter(|(_, parameters)| !parameters.is_empty())
            .map(|(is_excluded, parameters)| Group::new(config.rule(is_excluded), parameters, &lr))
            .collect();
        let probe = (!of_probe.is_empty()).then(|| {
            let default = Config::default();
            Group::new(default.rule(false), of_probe.into_iter().collect(), &rate(default.lr))
        });
        let stopped = Tensor::zeros([], (Kind::Float, device));
        let &Config { name, clip_norm, .. } = config;
        Self { groups, probe, name, updates: 0, lr, stopped, clip_norm }
    }

    fn all_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().chain(&self.probe)
    }

    /// Returns all parameters, always in the same order.
    pub fn parameters(&self) -> impl Iterator<Item = Tensor> {
        self.all_groups().flat_map(Group::parameters).map(Tensor::shallow_clone)
    }

    /// Discards the gradients of the previous step.
    pub fn forget_gradients(&self) -> Result<()> {
        let parameters: Vec<_> = self.all_groups().flat_map(Group::parameters).collect();
        Ok(torchkit::forget_gradients(&parameters)?)
    }

    /// Returns the gradients of all parameters that have one, always in the same order. They share the memory
    /// of the gradients.
    pub fn gradients(&self) -> Vec<Tensor> {
        self.all_groups().flat_map(Group::gradients).collect()
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
    /// replayed with another learning rate. The gradients may be overwritten.
    pub fn update(&self, loss: &Tensor) -> Result<Tensor> {
        let norm = self.norm(self.groups.iter().flat_map(Group::gradients))?;
        let probe_norm = self.norm(self.probe.iter().flat_map(Group::gradients))?;
        let finite = (&norm + &probe_norm + loss.detach()).isfinite();
        let skip = finite.logical_not().to_kind(Kind::Float).maximum(&self.stopped);
        self.stopped.shallow_clone().copy_(&skip);
        let scale = self.clip_norm.map(|most| (&norm / most).clamp_min(1.0));
        for group in &self.groups {
            group.update(Shared { scale: scale.as_ref(), skip: &skip })?;
        }
        if let Some(probe) = &self.probe {
            probe.update(Shared { scale: None, skip: &skip })?;
        }
        Ok(skip)
    }

    /// Returns the 2-norm of all gradients together, a scalar on the device: 0 if there are none.
    fn norm(&self, gradients: impl Iterator<Item = Tensor>) -> Result<Tensor> {
        let gradients: Vec<_> = gradients.collect();
        if gradients.is_empty() {
            return Ok(self.stopped.zeros_like());
        }
        Ok(torchkit::gradient_norm(&gradients.iter().collect::<Vec<_>>())?)
    }

    /// Returns which optimizer it is.
    pub fn name(&self) -> OptimizerName {
        self.name
    }

    /// Returns the number of updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Returns the moments by the names of their parameters: `exp_avg.NAME` and `exp_avg_sq.NAME` of Adam and
    /// AdamW, `momentum.NAME` of SGD and LARS. They share the memory of the optimizer: a state is restored by
    /// copying into them.
    pub fn moments(&self) -> Named {
        self.all_groups().flat_map(Group::moments).collect()
    }

    /// Continues after `updates` updates. The moments must have been restored before.
    pub fn resume(&mut self, updates: u64) {
        self.updates = updates;
        self.all_groups().for_each(|group| group.resume(updates));
        let _ = self.stopped.zero_();
    }
}

/// Returns the tensors of `vars` that are trained.
fn trained(vars: &VarStore) -> Named {
    vars.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
}
