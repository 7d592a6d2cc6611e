//! A network: encoder, method and online probe, with their tensors by name. It has no optimizer.

use anyhow::Result;
use dataset::Random;
use tch::{Device, Kind, Tensor, nn::VarStore};
use torchkit::Precision;

use super::{
    features::features,
    probe::{Both, OnlineProbe},
};
use crate::{
    checkpoint::{Loaded, Named, State},
    config::Config,
    device,
    encoder::{Encoder, Mode},
    loss,
    method::Method,
    views::Views,
};

/// The encoder, method and online probe of a run: the content of a checkpoint except for the optimizer's
/// state.
pub struct Network {
    vars: VarStore,
    method: Box<dyn Method>,
    probe: Option<OnlineProbe>,
    precision: Precision,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("parameters", &self.parameters()).finish_non_exhaustive()
    }
}

/// The results of a validation batch.
#[derive(Debug)]
pub struct Judged {
    /// Features of the encoder, (n, width).
    pub features: Tensor,
    /// Accuracies of the online probe on the labelled samples; `None` if there are none.
    pub accuracy: Option<Both<f64>>,
    /// The number of labelled samples.
    pub labelled: f64,
}

impl Network {
    /// Returns a freshly initialized network for a set of `samples` samples. A seed gives the same network on
    /// every device. It has a probe if `classes` is given.
    ///
    /// # Errors
    ///
    /// If the method cannot train the encoder, or the memory of the device does not suffice.
    pub fn new(config: &Config, samples: u64, classes: Option<u32>, device: Device) -> Result<Self> {
        tch::manual_seed(Random::after(config.seed, u64::MAX).next_u64().cast_signed());
        let encoder = config.encoder.chosen();
        let cures = || vec![format!("choose a smaller model with {}", encoder.size_flags())];
        let build = || {
            let vars = VarStore::new(device);
            let set = config.training_set(samples);
            let method = config.method.chosen().build(&vars.root(), set, &config.encoder)?;
            let width = method.encoder().width();
            let probe = classes.map(|classes| {
                OnlineProbe::new(&vars.root(), width, i64::from(classes), OnlineProbe::DROPOUT)
            });
            Ok(Self { vars, method, probe, precision: config.precision_on(device) })
        };
        device::within_memory(device, || "the model".to_owned(), cures, build)
    }

    /// Returns the network of a checkpoint.
    ///
    /// # Errors
    ///
    /// If the memory of the device does not suffice, or the tensors of the checkpoint do not match its
    /// configuration.
    pub fn load(loaded: &Loaded, device: Device) -> Result<Self> {
        let State { config, data, classes, .. } = &loaded.state;
        let network = Self::new(config, data.samples, *classes, device)?;
        network.restore(loaded)?;
        Ok(network)
    }

    /// Copies the tensors of a checkpoint into the network.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or has another shape.
    pub fn restore(&self, loaded: &Loaded) -> Result<()> {
        loaded.restore_model(&self.tensors())
    }

    /// Returns the encoder.
    pub fn encoder(&self) -> &dyn Encoder {
        self.method.encoder()
    }

    /// Returns how often the running statistics of the encoder's batch norms were updated: the smallest number
    /// of all norms; `None` without norms.
    pub fn norm_updates(&self) -> Option<i64> {
        let is_count = |name: &str| name.starts_with("encoder.") && name.ends_with(".num_batches_tracked");
        let counts = self.tensors().into_iter().filter(|(name, _)| is_count(name));
        counts.map(|(_, count)| count.int64_value(&[])).min()
    }

    /// Returns the method, which contains the encoder.
    pub fn method(&self) -> &dyn Method {
        self.method.as_ref()
    }

    /// Returns the method, for [`Method::after_step`] and [`Method::after_warm_start`].
    pub fn method_mut(&mut self) -> &mut dyn Method {
        self.method.as_mut()
    }

    /// Returns the online probe; `None` in a run without labels.
    pub fn probe(&self) -> Option<&OnlineProbe> {
        self.probe.as_ref()
    }

    /// Returns the precision that the encoder is computed in during training.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns all tensors, with their device.
    pub fn vars(&self) -> &VarStore {
        &self.vars
    }

    /// Returns all tensors by name: parameters, statistics and the state of the method. They share the memory
    /// of the network.
    pub fn tensors(&self) -> Named {
        self.vars.variables().into_iter().collect()
    }

    /// Returns whether all parameters and statistics are finite.
    pub fn is_finite(&self) -> bool {
        self.tensors().values().all(is_finite)
    }

    /// Returns the number of trained parameters, including those of the probe.
    pub fn parameters(&self) -> usize {
        self.vars.trainable_variables().iter().map(Tensor::numel).sum()
    }

    /// Returns features and accuracies of one batch of single views (1, n, 3, h, w), in evaluation mode.
    pub fn judge(&self, views: &Views) -> Result<Judged> {
        let features = features(self.encoder(), &views.images().get(0), Mode::Evaluation, self.precision)?;
        Ok(tch::no_grad(|| {
            let labelled = views.labels.ge(0).sum(Kind::Float).double_value(&[]);
            let probe = self.probe.as_ref().filter(|_| labelled > 0.0);
            let accuracy = probe.map(|probe| {
                let accuracy = |logits: &Tensor| loss::accuracy(logits, &views.labels).double_value(&[]);
                probe.logits(&features, false).map(accuracy)
            });
            Judged { features, accuracy, labelled }
        }))
    }
}

/// Returns whether all values of a tensor are finite. Integers always are.
fn is_finite(tensor: &Tensor) -> bool {
    !tensor.is_floating_point() || tensor.isfinite().all().int64_value(&[]) == 1
}
