//! A network: encoder, method and online probe, with all of their tensors by name. There is no optimizer here.

use anyhow::Result;
use dataset::Random;
use tch::{
    Device, Kind, Tensor,
    nn::{Path, VarStore},
};
use torchkit::Precision;

use super::{
    frozen::frozen,
    probe::{Both, OnlineProbe},
};
use crate::{
    checkpoint::{Loaded, Named},
    config::Config,
    device,
    encoder::Encoder,
    loss,
    method::Method,
    views::Views,
};

/// Encoder, method and online probe of a run: what a checkpoint holds beside the optimizer's state.
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

/// What the encoder makes of a validation batch.
#[derive(Debug)]
pub struct Judged {
    /// (n, width).
    pub features: Tensor,
    /// Accuracies of the online probe on the labelled samples, where there are any.
    pub accuracy: Option<Both<f64>>,
    /// Their number.
    pub labelled: f64,
}

impl Network {
    /// A freshly initialized network, the same for the same seed on every device. It has a probe where there are `classes`.
    ///
    /// # Errors
    ///
    /// If the device does not have the memory for it.
    pub fn new(config: &Config, classes: Option<u32>, device: Device) -> Result<Self> {
        let side = config.preset.side();
        Self::build(config, classes, device, |path| config.method.build(path, side, &config.encoder))
    }

    /// The same with another method, which names its tensors under the path that it is given.
    ///
    /// # Errors
    ///
    /// If the device does not have the memory for it.
    pub fn build(
        config: &Config,
        classes: Option<u32>,
        device: Device,
        method: impl FnOnce(&Path) -> Box<dyn Method>,
    ) -> Result<Self> {
        tch::manual_seed(Random::after(config.seed, u64::MAX).next_u64().cast_signed());
        let cures = || vec!["choose a smaller model with --ndf, --n-rkhs or --n-depth".to_owned()];
        let build = || {
            let vars = VarStore::new(device);
            let method = method(&vars.root());
            let width = method.encoder().width();
            let probe = classes.map(|classes| {
                OnlineProbe::new(&vars.root(), width, i64::from(classes), OnlineProbe::DROPOUT)
            });
            Ok(Self { vars, method, probe, precision: config.train.precision.on(device) })
        };
        device::within_memory(device, || "the model".to_owned(), cures, build)
    }

    /// The network of a checkpoint.
    ///
    /// # Errors
    ///
    /// If the device does not have the memory for it, or the checkpoint's tensors are not those of its configuration.
    pub fn load(loaded: &Loaded, device: Device) -> Result<Self> {
        let network = Self::new(&loaded.state.config, loaded.state.classes, device)?;
        network.restore(loaded)?;
        Ok(network)
    }

    /// Takes over the tensors of a checkpoint.
    ///
    /// # Errors
    ///
    /// If one is missing, or has another shape.
    pub fn restore(&self, loaded: &Loaded) -> Result<()> {
        loaded.restore_model(&self.tensors())
    }

    /// The encoder.
    pub fn encoder(&self) -> &dyn Encoder {
        self.method.encoder()
    }

    /// The objective, with the encoder in it.
    pub fn method(&self) -> &dyn Method {
        self.method.as_ref()
    }

    /// The objective, to be moved on after an update.
    pub fn method_mut(&mut self) -> &mut dyn Method {
        self.method.as_mut()
    }

    /// The online probe; none of a run without labels.
    pub fn probe(&self) -> Option<&OnlineProbe> {
        self.probe.as_ref()
    }

    /// What the encoder is computed in during training.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where all tensors are.
    pub fn vars(&self) -> &VarStore {
        &self.vars
    }

    /// Parameters and statistics by name, sharing the network's memory.
    pub fn tensors(&self) -> Named {
        self.vars.variables().into_iter().collect()
    }

    /// Whether every parameter and statistic is a finite number.
    pub fn is_finite(&self) -> bool {
        self.tensors().values().all(is_finite)
    }

    /// Numbers that are trained, those of the probe included.
    pub fn parameters(&self) -> usize {
        self.vars.trainable_variables().iter().map(Tensor::numel).sum()
    }

    /// Features and accuracies of one batch of single views (1, n, 3, h, w) in evaluation mode.
    pub fn judge(&self, views: &Views) -> Result<Judged> {
        let features = frozen(self.encoder(), &views.images.get(0), self.precision)?;
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

/// Whether all numbers of a tensor are finite; integers are.
pub(crate) fn is_finite(tensor: &Tensor) -> bool {
    !tensor.is_floating_point() || tensor.isfinite().all().int64_value(&[]) == 1
}
