//! Reads files of `torch.save`: checkpoints of the reference implementation, and ResNets of other programs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::{
    foreign::{Foreign, insert, unwrapped},
    pickle::{Pickle, Value},
    pth::Saved,
    resnet,
};
use crate::{
    encoder::{self, resnet::Split},
    method::{MethodConfig, amdim},
};

/// Reads the model of a file of `torch.save`.
pub(super) fn read(bytes: &[u8]) -> Result<Foreign> {
    let saved = Saved::open(bytes)?;
    match resnet(&saved)? {
        Some(foreign) => Ok(foreign),
        None => amdim(&saved),
    }
}

/// Reads a ResNet, wherever it is in the file.
fn resnet(saved: &Saved) -> Result<Option<Foreign>> {
    let values: BTreeMap<_, _> =
        saved.named().into_iter().map(|(name, value)| (unwrapped(&name), value)).collect();
    let names: BTreeSet<_> = values.keys().cloned().collect();
    let Some(own) = resnet::find(&names)? else { return Ok(None) };
    let named = own.iter().map(|(theirs, own)| (own.as_str(), values[theirs]));
    resnet::foreign(saved.tensors(named)?, split(&saved.pickle)).map(Some)
}

/// Returns the color space of CMC's two networks: the argument `view` of its training, or else Lab, its default.
fn split(pickle: &Pickle) -> Split {
    let arguments = pickle.get(&pickle.root, "opt");
    let view = arguments.and_then(|arguments| pickle.get(arguments, "view")).and_then(Value::text);
    if view == Some("YCbCr") { Split::Ycbcr } else { Split::Lab }
}

/// Reads a checkpoint of the reference implementation, `{model, hyperparams, cursor}`.
fn amdim(saved: &Saved) -> Result<Foreign> {
    let pickle = &saved.pickle;
    let model = pickle.get(&pickle.root, "model");
    let model = model.context("it has no `model`: it is not a checkpoint of the reference implementation")?;
    let named = pickle
        .pairs(model)
        .map(|(name, value)| Ok((name.text().context("the name of a tensor is not a text")?, value)));
    let named: Vec<(&str, &Value)> = named.collect::<Result<_>>()?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in saved.tensors(named)? {
        insert(&mut tensors, &name, tensor)?;
    }
    let parameters = pickle.get(&pickle.root, "hyperparams").context("it has no `hyperparams`")?;
    let number = |name: &str| {
        let number = pickle.get(parameters, name).and_then(|value| pickle.int(value));
        number.with_context(|| format!("its `hyperparams` have no `{name}`"))
    };
    let encoder = encoder::amdim::Config {
        ndf: number("ndf")?,
        n_rkhs: number("n_rkhs")?,
        n_depth: number("n_depth")?,
        // The loader of the reference implementation ignores it and builds an encoder without batch norms in the trunk.
        use_bn: number("use_bn").unwrap_or(0) != 0,
    };
    let tclip = pickle.get(parameters, "tclip").and_then(|value| pickle.float(value));
    let mut method = amdim::Config::default();
    method.tclip = tclip.unwrap_or(method.tclip);
    Ok(Foreign {
        tensors,
        encoder: encoder.into(),
        method: MethodConfig::Amdim(method),
        preset: None,
        side: Some(number("encoder_size")?),
        normalization: None,
        step: 0,
        class_names: Vec::new(),
    })
}
