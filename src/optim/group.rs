//! Parameters that are updated by the same rule.

use anyhow::Result;
use tch::{Kind, Tensor};

use torchkit::{Rule, Scalars, Updated};

/// Parameters, in the order of their names, with their moments and the rule that updates them.
#[derive(Debug)]
pub(super) struct Group {
    rule: Rule,
    slots: Vec<Slot>,
    /// The learning rate of the next update, a scalar on the device.
    lr: Tensor,
    /// The number of updates as a scalar on the device, without the updates that were skipped there.
    step: Tensor,
}

/// One parameter with its moments.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    moments: Vec<Tensor>,
}

/// The scalars of an update that all parameters share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    /// The divisor of the gradients, if there is one.
    pub(super) scale: Option<&'a Tensor>,
    /// 1 if the update is to change nothing, else 0.
    pub(super) skip: &'a Tensor,
}

impl Group {
    /// Returns a group of parameters with moments of zero, which reads its learning rate from `lr`.
    pub(super) fn new(rule: Rule, parameters: Vec<(String, Tensor)>, lr: &Tensor) -> Self {
        let slot = |(name, parameter): (String, Tensor)| {
            let moments = rule.moments().iter().map(|_| parameter.detach().zeros_like()).collect();
            Slot { name, parameter, moments }
        };
        let step = Tensor::zeros([], (Kind::Float, lr.device()));
        Self { rule, slots: parameters.into_iter().map(slot).collect(), lr: lr.shallow_clone(), step }
    }

    /// Iterates over the parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        self.slots.iter().map(|slot| &slot.parameter)
    }

    /// Iterates over the gradients of all parameters that have one.
    pub(super) fn gradients(&self) -> impl Iterator<Item = Tensor> {
        self.parameters().map(Tensor::grad).filter(Tensor::defined)
    }

    /// Queues one update. A parameter without a gradient is not changed.
    pub(super) fn update(&self, shared: Shared) -> Result<()> {
        let gradients: Vec<_> = self.parameters().map(Tensor::grad).collect();
        let with_gradients = self.slots.iter().zip(&gradients).filter(|(_, gradient)| gradient.defined());
        let updated: Vec<_> = with_gradients
            .map(|(slot, gradient)| Updated { parameter: &slot.parameter, gradient, moments: &slot.moments })
            .collect();
        let Shared { scale, skip } = shared;
        let scalars = Scalars { lr: &self.lr, step: &self.step, scale, skip };
        Ok(torchkit::update(&self.rule, &updated, scalars)?)
    }

    /// Iterates over the moments with their names.
    pub(super) fn moments(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.slots.iter().flat_map(|slot| {
            let names = self.rule.moments().iter().map(|moment| format!("{moment}.{}", slot.name));
            names.zip(slot.moments.iter().map(Tensor::shallow_clone))
        })
    }

    /// Continues after `updates` updates.
    pub(super) fn resume(&self, updates: u64) {
        let _ = self.step.shallow_clone().fill_(updates as f64);
    }
}
