//! The numbers of training steps: on the device, on their way to the host, and there.

use tch::{Kind, Tensor};
use torchkit::{Accelerator, Failure, Readback};

use super::record::ProbeNumbers;
use crate::method::Loss;

/// The numbers of a step, or their sums over several steps, on the device.
#[derive(Debug)]
pub struct StepMetrics {
    /// The names of the parts of the method's loss.
    pub(crate) parts: Vec<&'static str>,
    /// The loss, its parts, and the probe's numbers where the data are labelled, in the order of
    /// [`StepNumbers::of`] (f32).
    pub(crate) values: Tensor,
    /// 1 where the step updated nothing because its numbers were not finite, else 0.
    pub(crate) is_broken: Tensor,
}

/// The online probe's numbers in a step, scalars on the device.
#[derive(Debug)]
pub(crate) struct ProbeMetrics {
    /// Loss of the MLP.
    pub(crate) mlp_loss: Tensor,
    /// Loss of the linear probe.
    pub(crate) linear_loss: Tensor,
    /// Accuracy of the MLP.
    pub(crate) mlp: Tensor,
    /// Accuracy of the linear probe.
    pub(crate) linear: Tensor,
}

impl StepMetrics {
    pub(crate) fn of(loss: &Loss, probe: Option<ProbeMetrics>, is_broken: Tensor) -> Self {
        let parts = loss.parts.iter().map(|(name, _)| *name).collect();
        let mut values = vec![&loss.loss];
        values.extend(loss.parts.iter().map(|(_, value)| value));
        if let Some(ProbeMetrics { mlp_loss, linear_loss, mlp, linear }) = &probe {
            values.extend([mlp_loss, linear_loss, mlp, linear]);
        }
        let values: Vec<_> = values.into_iter().map(|value| value.to_kind(Kind::Float)).collect();
        Self { parts, values: Tensor::stack(&values, 0), is_broken }
    }

    /// Returns the same numbers in the same memory.
    pub(crate) fn shared(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            values: self.values.shallow_clone(),
            is_broken: self.is_broken.shallow_clone(),
        }
    }

    /// Returns the same numbers in memory of their own.
    pub(crate) fn copied(&self) -> Self {
        Self { parts: self.parts.clone(), values: self.values.copy(), is_broken: self.is_broken.copy() }
    }

    /// Waits for the method's loss and returns it.
    pub fn loss(&self) -> f64 {
        self.values.double_value(&[0])
    }

    /// Adds the numbers of another step.
    pub(crate) fn add(&mut self, other: &Self) {
        self.values = &self.values + &other.values;
    }

    /// Waits for the numbers and returns them.
    pub(crate) fn read(&self) -> StepNumbers {
        let values = Vec::<f64>::try_from(&self.values).expect("a row of numbers");
        StepNumbers::of(&self.parts, &values)
    }

    /// Queues a copy of the numbers to the host, without waiting for it.
    pub(crate) fn queue_read(self, accelerator: Option<Accelerator>) -> Result<PendingMetrics, Failure> {
        Ok(PendingMetrics { values: Readback::queue(&self.values, accelerator)?, parts: self.parts })
    }
}

/// Sums of the numbers of steps on their way to the host.
#[derive(Debug)]
pub(crate) struct PendingMetrics {
    parts: Vec<&'static str>,
    values: Readback,
}

impl PendingMetrics {
    /// Waits for the sums, but not for later work of the device, and returns their means over `steps`.
    pub(crate) fn mean(&self, steps: f64) -> Result<StepNumbers, Failure> {
        let means: Vec<_> = self.values.read()?.into_iter().map(|sum| sum / steps).collect();
        Ok(StepNumbers::of(&self.parts, &means))
    }
}

/// The numbers of a step, or their means over several steps, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct StepNumbers {
    /// The method's loss.
    pub loss: f64,
    /// The parts of the loss by name.
    pub parts: Vec<(&'static str, f64)>,
    /// Losses and accuracies of the online probe, where the data are labelled.
    pub probe: ProbeNumbers,
}

impl StepNumbers {
    fn of(parts: &[&'static str], values: &[f64]) -> Self {
        let (loss, values) = values.split_first().expect("every step has a loss");
        let (values, probe) = values.split_at(parts.len());
        let probe = match *probe {
            [mlp_loss, linear_loss, mlp, linear] => ProbeNumbers {
                linear: Some(linear),
                mlp: Some(mlp),
                linear_loss: Some(linear_loss),
                mlp_loss: Some(mlp_loss),
            },
            _ => ProbeNumbers::default(),
        };
        Self { loss: *loss, parts: parts.iter().copied().zip(values.iter().copied()).collect(), probe }
    }

    /// Returns all numbers under the names that they have in records.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let ProbeNumbers { linear, mlp, linear_loss, mlp_loss } = self.probe;
        let probe = [("linear", linear), ("mlp", mlp), ("linear_loss", linear_loss), ("mlp_loss", mlp_loss)];
        let probe = probe.into_iter().filter_map(|(name, value)| Some((name, value?)));
        [("loss", self.loss)].into_iter().chain(self.parts.iter().copied()).chain(probe).collect()
    }
}
