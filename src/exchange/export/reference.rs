//! The parts of a checkpoint of the reference implementation beside its tensors.

use anyhow::Result;

use super::{description::Description, part::CLASSES, pth::Number};
use crate::{
    checkpoint::{Loaded, State},
    encoder::amdim,
    usage,
};

/// Returns the settings of an encoder that the reference implementation can load.
///
/// # Errors
///
/// If it was not made by AMDIM: the reference implementation has no other method and encoder.
pub(super) fn encoder(loaded: &Loaded) -> Result<&amdim::Config> {
    let config = &loaded.state.config;
    let encoder = config.method.amdim().and_then(|_| config.encoder.amdim()).ok_or_else(|| {
        usage!(
            "the reference implementation knows AMDIM only, not the method {} with the encoder {}",
            config.method.chosen().name(), config.encoder.chosen().name();
            "leave out --names reference"
        )
    })?;
    if encoder.use_bn {
        tracing::warn!(
            "the loader of the reference implementation builds encoders without batch norms in the trunk, and this one has them \
             (--use-bn): all tensors load there, but the features differ"
        );
    }
    Ok(encoder)
}

/// Returns the arguments of the reference implementation's constructor for this model.
pub(super) fn hyperparams(description: &Description, encoder: &amdim::Config) -> [(&'static str, Number); 7] {
    let &amdim::Config { ndf, n_rkhs, n_depth, use_bn } = encoder;
    let size = |size: i64| Number::Int(size.cast_unsigned());
    [
        ("ndf", size(ndf)),
        ("n_classes", Number::Int(description.classes.unwrap_or(CLASSES).into())),
        ("n_rkhs", size(n_rkhs)),
        ("tclip", Number::Float(description.tclip.unwrap_or(20.0))),
        ("n_depth", size(n_depth)),
        ("encoder_size", Number::Int(description.side.into())),
        ("use_bn", Number::Bool(use_bn)),
    ]
}

/// Returns the progress of training.
pub(super) fn cursor(loaded: &Loaded) -> [(&'static str, Number); 4] {
    let State { step, position, .. } = loaded.state;
    [
        ("info_epoch", Number::Int(position.epoch)),
        ("info_step", Number::Int(step)),
        ("classifier_epoch", Number::Int(0)),
        ("classifier_step", Number::Int(0)),
    ]
}
