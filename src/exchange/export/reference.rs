//! What a checkpoint of the reference implementation says beside its tensors.

use super::{description::Description, part::CLASSES, pth::Number};
use crate::{
    checkpoint::{Loaded, State},
    encoder::{EncoderConfig, amdim},
};

/// What the reference makes a model of this size by.
pub(super) fn hyperparams(description: &Description) -> [(&'static str, Number); 7] {
    let EncoderConfig::Amdim(amdim::Config { ndf, n_rkhs, n_depth, use_bn }) = description.encoder;
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

/// How far training is.
pub(super) fn cursor(loaded: &Loaded) -> [(&'static str, Number); 4] {
    let State { step, position, .. } = loaded.state;
    [
        ("info_epoch", Number::Int(position.epoch)),
        ("info_step", Number::Int(step)),
        ("classifier_epoch", Number::Int(0)),
        ("classifier_step", Number::Int(0)),
    ]
}
