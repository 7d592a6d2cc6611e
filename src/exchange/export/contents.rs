//! What of a model is exported, and how.

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tensors by name, with metadata; PyTorch, JAX, candle and others read it.
    #[default]
    Safetensors,
    /// What `torch.save` writes, as the reference's checkpoints are: model, hyperparams, cursor.
    Pth,
}

/// How tensors are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Names {
    /// The encoder's as `encoder.…`.
    #[default]
    Own,
    /// All that a model of the reference holds, probes included, the encoder's as `encoder.module.…`: it loads there as it is.
    Reference,
}

/// What of a model is exported, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents {
    /// The online probes and the objective's constants, too.
    pub with_probes: bool,
    /// How it is named.
    pub names: Names,
    /// What kind of file it is.
    pub format: Format,
}
