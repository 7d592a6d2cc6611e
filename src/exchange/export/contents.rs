//! The choices of an export.

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tensors by name, with metadata; PyTorch, JAX, candle and others read it.
    #[default]
    Safetensors,
    /// A file of `torch.save`: for a ResNet its state dict, for AMDIM's encoder a checkpoint of the reference
    /// implementation (model, hyperparams, cursor).
    Pth,
}

/// The names of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Names {
    /// The names of this program, `encoder.…`.
    #[default]
    Own,
    /// The names of torchvision's ResNets, `conv1.weight`, `layer1.0.bn1.bias` and so on; with --split below
    /// `l_to_ab` and `ab_to_l`.
    Torchvision,
    /// The names of the reference implementation, `encoder.module.…`, with all tensors that its model has,
    /// probes included.
    Reference,
}

/// The tensors, names and format of an export.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents {
    /// Whether the online probes and the constants of the objective are exported, too.
    pub with_probes: bool,
    /// The names of the tensors.
    pub names: Names,
    /// The file format.
    pub format: Format,
}
